"""Whether what was found can answer the question at all: one number from 0 to 1, from three observations.

A passage's `score` compares it with the others of one search and says nothing about that. Here the best cosine
similarity is put in relation to how alike the library's own chunks are (where everything is about one thing, any
question about it is near to something), and those words of the question that tell passages apart are looked for in the
best of them, a misspelled one under what it means. The weights belong to an embedder: `scripts/bench_answers.py --fit`
makes them. Arithmetic alone.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from api.rag.retrieve import Hit
from api.rag.spelling import meant
from api.rag.words import COMMON, content_words, stem, words

LOOKED_AT, BEST = 64, 6
"""Passages that tell how rare a word is, and those of which one must hold the question's words: as many as are put
into a prompt.
"""
LANGUAGES = ("en", "")
"""Of the documents about which it can be told; words are stems of English here."""
LEAST_TELLING = 0.3
"""What a word counts that every passage holds; one that none holds counts about 4."""
ASKING = frozenset(
    stem(word)
    for word in """affect apply choose choosing consider considering define detail details difference differences
    elaborate ensure example find frequently give handle happen happens held hold impact implication implications
    important include included includes information involve involved key know list look main mean means often outline
    particular particularly provide provided provides purpose related relate relates role situation situations
    specific specifically summarize take takes work""".split()  # noqa: SIM905
)
"""Words with which one asks for what a passage tells in words of its own."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """How near the nearest passage is to the question, how alike the library's chunks are, and how much of what the
    question says, weighed by how rare it is among the passages, one of the best says too.
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


_MINILM_L6 = r"^all-minilm(-l6-v2(-int8)?)?(:(latest|22m|l6-v2)[\w.-]*)?:384(?!\d)"
CALIBRATED = (Calibration(_MINILM_L6, 3.87, 4.07, -3.03, 0.3),)


def calibration_of(
    version: str, calibrated: Sequence[Calibration] = CALIBRATED
) -> Calibration | None:
    """That of the embedder of this version; None for one that was not measured."""
    found = (one for one in calibrated if re.search(one.embedders, version.casefold()))
    return next(found, None)


def relevance(evidence: Evidence, calibration: Calibration) -> float:
    """How likely one of the passages holds an answer."""
    stands_out = max(0.0, evidence.nearness - evidence.likeness) / (1 - evidence.likeness)
    says = calibration.nearness * stands_out + calibration.coverage * evidence.coverage
    return round(1 / (1 + math.exp(-says - calibration.bias)), 4)


def evidence(query: str, hits: Sequence[Hit], likeness: float) -> Evidence:
    """What speaks for the hits of a search, best first, as answers to one of its queries."""
    hits = [hit for hit in hits if not hit.is_duplicate]
    found = [one.dense for hit in hits for one in hit.found_by if one.query == query]
    nearness = max((dense for dense in found if dense is not None), default=0.0)
    texts = [f"{hit.shown_text} {hit.document}" for hit in hits[:LOOKED_AT]]
    return Evidence(nearness, likeness, _coverage(query, texts))


def _coverage(query: str, texts: Sequence[str]) -> float:
    """The share of what the query's words tell that one of the best passages holds; half when they tell nothing."""
    said = [content_words(text) for text in texts]
    told = _told(query, texts, frozenset().union(*said))
    weights = {word: _telling(forms, said) for word, forms in told.items()}
    held = [
        sum(weight for word, weight in weights.items() if told[word] & words)
        for words in said[:BEST]
    ]
    return max(held, default=0.0) / sum(weights.values()) if weights else 0.5


def _told(query: str, texts: Sequence[str], known: frozenset[str]) -> dict[str, frozenset[str]]:
    """What each word of the query says, as stems: itself, or what it stands for where it is misspelled. Its spelling is
    compared with whole words too: `servises` is nearly `services`, though its stem is no other word's.
    """
    asked = {stem(word): word for word in words(query.replace("_", " ")) if word not in COMMON}
    told = {one: frozenset([one]) for one in asked.keys() - ASKING if one in known}
    if unknown := asked.keys() - ASKING - known:
        spellings = known.union(*map(words, texts)) - COMMON
        for one in unknown:
            forms = frozenset(
                near if near in known else stem(near) for near in meant(asked[one], spellings)
            )
            if forms or not meant(asked[one], COMMON, least=3):
                told[one] = forms
    return told


def _telling(forms: frozenset[str], said: Sequence[frozenset[str]]) -> float:
    holding = sum(not forms.isdisjoint(words) for words in said)
    return max(LEAST_TELLING, math.log(1 + (len(said) - holding + 1) / (holding + 1)))
