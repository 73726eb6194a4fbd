"""Words that a line's end breaks, put together as the document writes them elsewhere."""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

from api.documents.reading.lines import Line

SOFT = "\x02\ufffe"
"""What PDFium writes for a hyphen that breaks a word."""
_LEFT = re.compile(rf"([\w-]*)[ ]?[{SOFT}]$|([^\W\d_]{{2,}})-$")
_RIGHT = re.compile(r"\s*([\w-]*)")
_CONTINUES = re.compile(r"\s*[^\W\d_]{2,}")
_WORD = re.compile(rf"(?<![{SOFT}\w-])[\w-]+(?![{SOFT}\w-])")
_FIRST_WORD = re.compile(rf"^\s*{_WORD.pattern}")
_KEEP_THEIR_HYPHEN = frozenset(["self", "non", "well", "all", "half", "co", "ex", "so"])


def join_broken_words(pages: Sequence[Sequence[Line]]) -> None:
    """Join the lines of each page where a word is broken, with the hyphen where the document writes it so."""
    broken = [
        (line, following)
        for lines in pages
        for line, following in pairwise(lines)
        if line.text[-1:] in SOFT + "-" and line.text
    ]
    if not broken:
        return
    rests = {id(following) for _, following in broken}
    words = _words((line for lines in pages for line in lines), rests)
    for line, following in broken:
        _join(line, following, words)
    for line in (line for lines in pages for line in lines):
        if line.text[-1:] in SOFT and line.text:  # nothing follows
            line.text = line.text[:-1].rstrip() + "-"


def _join(line: Line, following: Line, words: set[str]) -> None:
    match = _LEFT.search(line.text)
    if match is None:
        return
    is_soft = line.text[-1] in SOFT
    if not is_soft and not (
        _CONTINUES.match(following.text) and following.text.lstrip()[0].islower()
    ):
        return
    left = match[1] if is_soft else match[2]
    right = _RIGHT.match(following.text)[1]  # type: ignore[index]
    whole, compound = f"{left}{right}".lower(), f"{left}-{right}".lower()
    parts_are_words = left.lower() in words and right.lower() in words
    parts_are_words |= not is_soft and left.lower() in _KEEP_THEIR_HYPHEN
    hyphen = whole not in words and (compound in words or parts_are_words)
    line.text = line.text[: match.start()] + left
    line.after = "-" if hyphen and left and right else ""
    following.text = following.text.lstrip()


def _words(lines: Iterable[Line], rests: set[int]) -> set[str]:
    """All whole words in lower case, and the parts of those that have a hyphen."""
    texts = (_FIRST_WORD.sub("", line.text) if id(line) in rests else line.text for line in lines)
    found = {word.lower() for word in set(_WORD.findall("\n".join(texts)))}
    whole = {word for word in found if not word.endswith("-")}
    return whole.union(*(word.split("-") for word in whole if "-" in word))
