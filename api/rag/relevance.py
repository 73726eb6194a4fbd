"""Whether what was found can answer the question at all: one number from 0 to 1, from three observations.

A passage's `score` compares it with the others of one search and says nothing about that. Here the best cosine
similarity is put in relation to how alike the library's own chunks are (where everything is about one thing, any
question about it is near to something), and those words of the question that tell passages apart are looked for in the
best of them. The weights belong to an embedder: `scripts/bench_answers.py --fit` makes them. Arithmetic alone.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from api.rag.retrieve import Hit
from api.rag.words import content_words

BEST = 6
"""Passages of which one must hold the question's words: as many as are put into a prompt."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """How near the nearest passage is to the question, how alike the library's chunks are, and how much of what the
    question says, weighed by how rare it is among the passages, the best passage says too.
    """

    nearness: float
    likeness: float
    coverage: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """An embedder's weights, and the relevance below which nothing is answered unless a setting says otherwise."""

    embedders: str
    nearness: float
    coverage: float
    bias: float
    least: float


CALIBRATED = (Calibration(r"all-minilm.*:384(?!\d)", 4.6, 3.51, -2.69, 0.26),)


def calibration_of(
    version: str, calibrated: Sequence[Calibration] = CALIBRATED
) -> Calibration | None:
    """That of the embedder of this version; None for one that was not measured."""
    found = (one for one in calibrated if re.search(one.embedders, version.casefold()))
    return next(found, None)


def relevance(evidence: Evidence, calibration: Calibration) -> float:
    """How likely one of the passages holds an answer."""
    stands_out = (evidence.nearness - evidence.likeness) / (1 - evidence.likeness)
    says = calibration.nearness * stands_out + calibration.coverage * evidence.coverage
    return round(1 / (1 + math.exp(-says - calibration.bias)), 4)


def evidence(query: str, hits: Sequence[Hit], likeness: float) -> Evidence:
    """What speaks for the hits of a search, best first, as answers to one of its queries."""
    hits = [hit for hit in hits if not hit.is_duplicate]
    found = [one.dense for hit in hits for one in hit.found_by if one.query == query]
    nearness = max((dense for dense in found if dense is not None), default=0.0)
    said = [content_words(f"{hit.shown_text} {hit.document}") for hit in hits]
    return Evidence(nearness, likeness, _coverage(content_words(query), said))


def _coverage(asked: frozenset[str], said: Sequence[frozenset[str]]) -> float:
    weights = {word: _rarity(sum(word in words for words in said), len(said)) for word in asked}
    total = sum(weights.values())
    if not total:
        return 0.0
    return (
        max((sum(weights[word] for word in asked & words) for words in said[:BEST]), default=0.0)
        / total
    )


def _rarity(holding: int, all_of_them: int) -> float:
    return math.log(1 + (all_of_them - holding + 0.5) / (holding + 0.5))
