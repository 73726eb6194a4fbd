"""What counts beside a chunk's own words: its document, and the pages beside its own. Arithmetic alone.

A chunk seldom says which company or which year it is about: the name and the title of its document do, and so does how
much of what was found stands in that document. And where a text goes on over pages, the page between two that fit is
likelier to fit than one that stands alone; pages that have nothing to do with each other, like a volume of abstracts,
do not help each other, nor do those of a document each of whose pages ends with a sentence. docs/retrieval.md has what
each part is worth.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from api.rag.fuse import Ranked

STRANGERS, RELATIVES = 0.05, 0.25
"""How alike the best chunks of two pages side by side are, beyond how alike the library's own chunks are: up to the
first neither page helps the other, from the second all. In shares, so that it holds for any embedder.
"""


@dataclass(frozen=True, slots=True)
class Weights:
    """What counts how much against the chunk itself: the document's name and title, what was found in the document, and
    the two pages beside.
    """

    name: float = 0.2
    document: float = 0.1
    neighbours: float = 0.2

    @property
    def most(self) -> float:
        """The score of what is best in everything."""
        return (1 + self.name + self.document) * (1 + self.neighbours)


USUAL = Weights()

Vector = npt.NDArray[np.float32]
Page = tuple[str, int]
"""A document's id and a page's number."""

_WORD = re.compile(r"[^\W\d_]+|\d+")
_SENTENCE_ENDS = frozenset(".!?\u2026\u3002\uff01\uff1f")
_CLOSING = "\"'\u2019\u201d\u00bb)]"
_SMALL = frozenset(
    """a an and are as at be by can did do does for from had has have how if in into is it its of on or our that the
    their there these this to was were what when where which who whose why will with would you your""".split()  # noqa: SIM905
)


class Place(NamedTuple):
    """Where a chunk stands: its document's id, what that is called (name and title), its page, its number among the
    document's chunks, and whether it ends with a sentence.
    """

    document: str
    called: str
    page: int
    ordinal: int = 0
    is_whole: bool = False


def ends_with_sentence(text: str) -> bool:
    """Whether nothing is broken off at its end."""
    return text.rstrip().rstrip(_CLOSING)[-1:] in _SENTENCE_ENDS


def placed(
    ranked: Sequence[Ranked],
    places: Mapping[int, Place],
    vectors: Mapping[int, Vector],
    question: str,
    likeness: float,
    weights: Weights = USUAL,
) -> list[Ranked]:
    """The order that follows when a chunk's document and the pages beside count too, best first; 0 to 1.

    A chunk without a place is left out, and one without a vector (of length 1) has no part in what pages tell.
    `likeness` is the mean cosine of the library's chunks.
    """
    ranked = [one for one in ranked if one.chunk_id in places]
    scores = {one.chunk_id: one.score for one in ranked}
    called = {place.document: place.called for place in places.values()}
    named = _share_of_most(_tellings(question, called))
    for chunk_id in scores:
        scores[chunk_id] += weights.name * named[places[chunk_id].document]
    speaking = _share_of_most(_sums(scores, places))
    for chunk_id in scores:
        scores[chunk_id] += weights.document * speaking[places[chunk_id].document]
    beside = _beside(scores, places, vectors, likeness)
    for chunk_id in scores:
        place = places[chunk_id]
        scores[chunk_id] += weights.neighbours * beside[place.document, place.page]
    counted = [
        Ranked(one.chunk_id, round(scores[one.chunk_id] / weights.most, 4), one.found_by)
        for one in ranked
    ]
    return sorted(counted, key=lambda one: (-one.score, one.chunk_id))


def beside_each_other(scored: Sequence[Ranked], places: Mapping[int, Place]) -> list[int]:
    """The best chunks of those pages whose neighbour was found too: whose vectors `placed` asks for."""
    best = _best_of_pages({one.chunk_id: one.score for one in scored}, places)
    return [
        chunk_id
        for (document, page), chunk_id in best.items()
        if (document, page - 1) in best or (document, page + 1) in best
    ]


def _words_of_name(text: str) -> list[str]:
    """What names are compared by: `FY2022` and `2022_10K` share a word."""
    return [word.casefold() for word in _WORD.findall(text)]


def _tellings(question: str, called: Mapping[str, str]) -> dict[str, float]:
    """How much of what tells these documents apart the question says of each; two words may be written as one."""
    said = [word for word in _words_of_name(question) if word not in _SMALL]
    asked = {*said, *(before + after for before, after in pairwise(said))}
    names = {document: {*_words_of_name(name)} - _SMALL for document, name in called.items()}
    having = Counter(word for words in names.values() for word in words)

    def tells(word: str) -> float:
        return log(1 + (len(names) - having[word] + 0.5) / (having[word] + 0.5))

    return {document: sum(map(tells, words & asked)) for document, words in names.items()}


def _sums(scores: Mapping[int, float], places: Mapping[int, Place]) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    for chunk_id, score in scores.items():
        sums[places[chunk_id].document] += score
    return sums


def _share_of_most(values: Mapping[str, float]) -> dict[str, float]:
    most = max(values.values(), default=0.0) or 1.0
    return {key: value / most for key, value in values.items()}


def _best_of_pages(scores: Mapping[int, float], places: Mapping[int, Place]) -> dict[Page, int]:
    best: dict[Page, int] = {}
    for chunk_id, score in scores.items():
        if place := places.get(chunk_id):
            here = best.setdefault((place.document, place.page), chunk_id)
            if score > scores[here]:
                best[place.document, place.page] = chunk_id
    return best


def _beside(
    scores: Mapping[int, float],
    places: Mapping[int, Place],
    vectors: Mapping[int, Vector],
    likeness: float,
) -> dict[Page, float]:
    """For each page half the sum of the best scores of the two beside it, as far as they go on in each other."""
    best = _best_of_pages(scores, places)
    breaking = _breaking(places)

    def helps(page: Page, other: Page) -> float:
        if other not in best:
            return 0.0
        mine, its = vectors.get(best[page]), vectors.get(best[other])
        if mine is None or its is None:
            return 0.0
        alike = (float(mine @ its) - likeness) / (1 - likeness)
        goes_on = min(1.0, max(0.0, (alike - STRANGERS) / (RELATIVES - STRANGERS)))
        return breaking[page[0]] * goes_on * scores[best[other]] / 2

    return {
        (document, page): helps((document, page), (document, page - 1))
        + helps((document, page), (document, page + 1))
        for document, page in best
    }


def _breaking(places: Mapping[int, Place]) -> dict[str, float]:
    """By document, how far its text breaks off where its pages end: 0 to 1, all from every second page on.

    As far as chunks were found on both sides of a page's end; one more that breaks off is taken for granted.
    """
    at = {(one.document, one.ordinal): one for one in places.values()}
    whole: dict[str, list[bool]] = {one.document: [False] for one in places.values()}
    for (document, ordinal), one in at.items():
        following = at.get((document, ordinal + 1))
        if following and following.page > one.page:
            whole[document].append(one.is_whole)
    return {name: min(1.0, 2 - 2 * sum(ends) / len(ends)) for name, ends in whole.items()}
