"""Many ranked lists into one: what was found by meaning and by words, for each query. Arithmetic alone.

For each query and each side the scores of the best become 0..1: those by meaning min-max normalised, those by words as
shares of the best one's; a chunk that a side did not find has 0 there. Fused: weight * dense + (1 - weight) * lexical
(the convex combination of Bruch, Gai and Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval", 2023);
docs/retrieval.md has what else was tried. The fewer of a query's words occur, the more its meaning counts. Over the
queries a mean is taken in which the first one counts as much as all the others together, so that a rephrasing that went
wrong cannot put its own finds in front.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from api.index.values import Candidates, Scored

FEW_WORDS, ENOUGH = 0.9, 0.2
"""The weight of meaning where hardly a word of a query is found, and the coverage from which the usual one holds."""
SAME = 0.9
"""Share of common words from which two passages count as one."""


@dataclass(frozen=True, slots=True)
class Found:
    """Which query found a passage, with its cosine similarity and BM25 score (None: not among the best), both with what
    the query's related words add.
    """

    query: str
    dense: float | None
    lexical: float | None


class Ranked(NamedTuple):
    """A chunk, how well it fits (0..1), and which queries found it."""

    chunk_id: int
    score: float
    found_by: tuple[Found, ...]


def fuse(candidates: Sequence[Candidates], dense_weight: float) -> list[Ranked]:
    """The chunks of all queries in one order, best first. `dense_weight` is the share of meaning against words."""
    scores = _scores(candidates, dense_weight)
    found_by = _found_by(candidates)
    order = sorted(scores, key=lambda chunk_id: (-scores[chunk_id], chunk_id))
    return [Ranked(one, round(scores[one], 4), found_by[one]) for one in order]


def words_of(text: str) -> frozenset[str]:
    """What two passages are compared by."""
    return frozenset(re.findall(r"\w+", text.casefold()))


def is_alike(words: frozenset[str], others: frozenset[str]) -> bool:
    """Whether two passages say the same; two reports that differ in a year or an amount do not."""
    if len(words & others) < SAME * len(words | others):
        return False
    return not any(any(c.isdigit() for c in word) for word in words ^ others)


def _scores(candidates: Sequence[Candidates], dense_weight: float) -> dict[int, float]:
    """The mean over the queries of each chunk's convex combination; the first query counts half."""
    scores: dict[int, float] = {}
    for position, one in enumerate(candidates):
        weight = _weight_of_meaning(one, dense_weight)
        for side, share in (
            (_normalised(one.dense), weight),
            (_shares_of_best(one.lexical), 1 - weight),
        ):
            counts = share * _share(position, len(candidates))
            for chunk_id, score in side:
                scores[chunk_id] = scores.get(chunk_id, 0.0) + counts * score
    return scores


def _weight_of_meaning(candidates: Candidates, usual: float) -> float:
    """The usual weight where some chunk holds most of what the words tell; more, the less of it any holds: the question
    is in another language then, or in other words. All where none of the words occurs.
    """
    if not candidates.lexical:
        return 1.0
    held = max(one.coverage for one in candidates.lexical)
    return max(usual, FEW_WORDS - (FEW_WORDS - usual) * held / ENOUGH)


def _share(position: int, count: int) -> float:
    if count == 1:
        return 1.0
    return 0.5 if position == 0 else 0.5 / (count - 1)


def _normalised(side: Sequence[Scored]) -> list[tuple[int, float]]:
    if not side:
        return []
    values = [scored.score for scored in side]
    low, high = min(values), max(values)
    if high == low:
        return [(scored.chunk_id, 1.0) for scored in side]
    return [(scored.chunk_id, (scored.score - low) / (high - low)) for scored in side]


def _shares_of_best(side: Sequence[Scored]) -> list[tuple[int, float]]:
    best = max((scored.score for scored in side), default=1.0)
    return [(scored.chunk_id, scored.score / best) for scored in side]


def _found_by(candidates: Sequence[Candidates]) -> dict[int, tuple[Found, ...]]:
    found: dict[int, tuple[Found, ...]] = {}
    for one in candidates:
        dense = {scored.chunk_id: round(scored.score, 4) for scored in one.dense}
        lexical = {scored.chunk_id: round(scored.score, 4) for scored in one.lexical}
        for chunk_id in dense.keys() | lexical.keys():
            evidence = Found(one.query, dense.get(chunk_id), lexical.get(chunk_id))
            found[chunk_id] = (*found.get(chunk_id, ()), evidence)
    return found
