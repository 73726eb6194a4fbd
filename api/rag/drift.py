"""Whether a rephrasing asks for something else than the question does. Arithmetic alone."""

import re
from collections.abc import Sequence

from api.rag.clauses import names_in
from api.rag.numbers import numbers
from api.rag.words import content_words, stem, words

_CODE = re.compile(r"\b(?=\w*\d)\w*[^\W\d_]\w*\b")
"""A word with a digit, like a part's name."""


def drifted(question: str, ways: Sequence[str], before: str = "") -> dict[str, str]:
    """Of each rephrasing why it would lead away; empty when it does not. `before` is what was said before the question:
    a rephrasing may have its numbers from there.

    Other words alone are no drift: that is what rephrasings are for.
    """
    asked, earlier, names = _values(question), _values(before), _names(question)
    known = names | content_words(f"{before} {question}")

    def why(way: str) -> str:
        said = _values(way)
        if added := said - asked - earlier:
            return f"adds the number {min(added):g}"
        if asked and not said:
            return f"loses the number {min(asked):g}"
        return f"loses the name {min(names)}" if names and not known & content_words(way) else ""

    return {way: why(way) for way in ways}


def _values(text: str) -> set[float]:
    """Numbers but for one, which seldom counts anything: `the second one`."""
    return {one.written for one in numbers(text)} - {1}


def _names(text: str) -> frozenset[str]:
    """Words with a capital in the middle of a sentence, and words with a digit."""
    codes = (stem(word) for code in _CODE.findall(text) for word in words(code))
    return names_in(text) | frozenset(codes)
