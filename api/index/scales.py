"""What several embedding models find for one question, on one scale.

Similarities of two models are no more comparable than degrees and inches: .8 is a stranger to one, .4 the answer to
another. How near a question is to sentences that have nothing to do with it is a scale of its own, for each question
and model: a hit is as good as it stands out of them, in standard deviations.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from api.index.embeddings import Embedder, Vectors
from api.index.values import Scored

Figures = npt.NDArray[np.float32]

STRANGERS = (
    "The cat sleeps on the warm windowsill all afternoon.",
    "Add two eggs and a cup of flour, then stir until smooth.",
    "Our train leaves from platform nine at a quarter past six.",
    "The committee approved the annual budget by a large majority.",
    "Press the power button for three seconds to restart the device.",
    "Light travels faster in air than it does in glass or water.",
    "She scored the winning goal in the last minute of the match.",
    "The patient was advised to rest and to drink plenty of water.",
    "Employees may carry over five days of leave into the next year.",
    "The castle was built in the thirteenth century by a local duke.",
    "Total revenue decreased compared with the previous quarter.",
    "The function returns an empty list when no file is found.",
    "Heavy rain is expected in the north, with snow on the hills.",
    "The tenant shall give written notice three months in advance.",
    "He plays the violin in a small orchestra on weekends.",
    "Clean the filter once a month and replace it every year.",
    "The bridge across the river is closed for repair until May.",
    "We trained the network on images and report its accuracy.",
    "A recipe for soup needs onions, carrots and a little salt.",
    "The election was held in autumn and the turnout was low.",
    "Wear gloves and goggles when you handle the solvent.",
    "The museum shows paintings of the nineteenth century.",
    "Passengers must keep their seat belts fastened at all times.",
    "The warranty covers parts and labour for two years.",
)
"""Short passages about many things, so that no question is about most of them."""


class Scales:
    """Keeps what each version of an embedder makes of the strangers."""

    def __init__(self) -> None:
        self._strangers: dict[str, Vectors] = {}

    async def on_one(
        self, asked: Sequence[tuple[Embedder, Vectors, str, Sequence[Sequence[Scored]]]]
    ) -> list[list[Scored]]:
        """For each question the hits of all embedders, best first, on the scale of the first one. Asked with each: the
        vectors of the questions, their version, and for each question its hits.
        """
        merged: list[list[Scored]] = [[] for _ in asked[0][3]]
        scale = await self._of(*asked[0][:3])
        for embedder, questions, version, found in asked:
            mine = await self._of(embedder, questions, version)
            for number, hits in enumerate(found):
                (mean, spread), (to_mean, to_spread) = mine[number], scale[number]
                merged[number] += [
                    Scored(hit.chunk_id, float(to_mean + to_spread * (hit.score - mean) / spread))
                    for hit in hits
                ]
        return [_best_first(hits) for hits in merged]

    async def _of(self, embedder: Embedder, questions: Vectors, version: str) -> Figures:
        """Mean and standard deviation of each question's similarity to the strangers."""
        if version not in self._strangers:
            vectors, made_by = await embedder.embed_passages(STRANGERS)
            self._strangers[made_by] = vectors
        near = questions @ self._strangers[version].T
        return np.stack([near.mean(axis=1), np.maximum(near.std(axis=1), 1e-3)], axis=1)


def _best_first(hits: Sequence[Scored]) -> list[Scored]:
    """A chunk that two embedders found counts once, where it is better."""
    best: dict[int, Scored] = {}
    for hit in sorted(hits, key=lambda hit: -hit.score):
        best.setdefault(hit.chunk_id, hit)
    return list(best.values())
