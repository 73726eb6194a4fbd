"""A misspelled word under what it means: the words near by that are spelled almost so. Arithmetic alone."""

from collections.abc import Set
from difflib import get_close_matches

ALIKE = 0.85
"""Share of letters in the same order from which two words are taken for one: one letter in six may be missing or
strange.
"""
MOST = 3
"""Words that a misspelled one may stand for."""


def meant(word: str, known: Set[str], least: int = 4) -> frozenset[str]:
    """The word itself where it is known, else known words spelled almost so, with the same first letter.

    A word of fewer letters than `least`, or with a digit, is only itself: a year or a part is no other one misspelled.
    """
    if word in known:
        return frozenset([word])
    if len(word) < least or any(letter.isdigit() for letter in word):
        return frozenset()
    near = [other for other in known if other[:1] == word[0] and len(other) >= least]
    return frozenset(get_close_matches(word, near, MOST, ALIKE))
