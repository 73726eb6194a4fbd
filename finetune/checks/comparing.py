"""How far a GGUF file is from the model that was trained: the log-probabilities of the tokens that matter."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finetune.checks.passages import Passage, spread
from finetune.checks.scoring import Scorer

LIKELIEST = 5
PLACES = 64


@dataclass(frozen=True, slots=True)
class Expected:
    """What the reference says of one passage, at each token asked about."""

    likeliest: NDArray[np.int64]
    """Its five likeliest tokens, the likeliest first."""
    scores: NDArray[np.float32]
    """Their log-probabilities."""
    asked: NDArray[np.float32]
    """Log-probabilities of the tokens asked about."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a file says of the same."""

    first: NDArray[np.int64]
    """Its likeliest token."""
    scores: NDArray[np.float32]
    """Log-probabilities of the reference's five."""
    asked: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Figures:
    """The differences of a file, in log-probability; `loss` is the mean over every token asked about."""

    places: int
    largest: float
    mean: float
    """Over the five likeliest at each place."""
    equal_first: float
    tokens: int
    loss: float
    largest_at: str


def expected(scores: NDArray[np.float32], passage: Passage) -> Expected:
    """Keep of a reference's scores what files are held against."""
    likeliest = np.argsort(-scores, axis=1, kind="stable")[:, :LIKELIEST]
    return Expected(
        likeliest,
        np.take_along_axis(scores, likeliest, 1),
        scores[np.arange(len(passage.places)), passage.asked],
    )


def seen(scorer: Scorer, passage: Passage, reference: Expected) -> Seen:
    """Ask a file about a passage."""
    scores = scorer.log_probabilities(passage.tokens, passage.places)
    return Seen(
        scores.argmax(axis=1),
        np.take_along_axis(scores, reference.likeliest, 1),
        scores[np.arange(len(passage.places)), passage.asked],
    )


@dataclass(frozen=True, slots=True)
class Above:
    """What a file's loss is above another's, token by token over the same answers, and the error of that mean: what
    equal answers say is said once. `answers` are the different ones.
    """

    mean: float
    error: float
    answers: int


def above(passages: Sequence[Passage], answers: Sequence[Seen], others: Sequence[Seen]) -> Above:
    """The loss of `answers` above that of `others`."""
    apart: dict[tuple[int, ...], list[NDArray[np.float32]]] = {}
    for passage, one, other in zip(passages, answers, others, strict=True):
        apart.setdefault(tuple(passage.asked), []).append(other.asked - one.asked)
    groups = [np.concatenate(group).astype(np.float64) for group in apart.values()]
    tokens = sum(len(group) for group in groups)
    mean = float(sum(group.sum() for group in groups)) / tokens
    error = math.sqrt(sum(float((group - mean).sum()) ** 2 for group in groups)) / tokens
    return Above(round(mean, 5), round(error, 5), len(groups))


def figures(
    passages: Sequence[Passage],
    references: Sequence[Expected],
    answers: Sequence[Seen],
    tie: float = 0.0,
) -> Figures:
    """Hold what a file said against the reference, at 64 places over all passages. Tokens that the reference finds as
    likely as its first one, within `tie`, count as its first.
    """
    places = spread(passages, PLACES)
    ours = np.stack([references[n].scores[k] for n, k in places]).astype(np.float64)
    theirs = np.stack([answers[n].scores[k] for n, k in places]).astype(np.float64)
    apart = np.nan_to_num(np.abs(ours - theirs), nan=math.inf)
    first = [_is_first(references[n], k, int(answers[n].first[k]), tie) for n, k in places]
    worst = places[int(apart.max(axis=1).argmax())]
    asked = np.concatenate([answer.asked for answer in answers]).astype(np.float64)
    return Figures(
        places=len(places),
        largest=round(float(apart.max()), 5),
        mean=round(float(apart.mean()), 5),
        equal_first=round(float(np.mean(first)), 4),
        tokens=len(asked),
        loss=round(float(-asked.mean()), 5),
        largest_at=f"token {worst[1] + 1} of what {passages[worst[0]].named} teaches",
    )


def _is_first(reference: Expected, place: int, token: int, tie: float) -> bool:
    behind = reference.scores[place, 0] - reference.scores[place]
    return token in reference.likeliest[place][behind <= tie]
