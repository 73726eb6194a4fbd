"""Words that a line's end breaks, put together as the document writes them elsewhere."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from api.documents.reading.lines import Line

SOFT = "\x02\ufffe"
"""What PDFium writes for a hyphen that breaks a word."""
_LEFT = re.compile(rf"([\w-]*)[ ]?[{SOFT}]$|([^\W\d_]{{2,}})-$")
_RIGHT = re.compile(r"\s*([\w-]*)")
_CONTINUES = re.compile(r"\s*[^\W\d_]{2,}")
_WORD = re.compile(rf"(?<![{SOFT}\w-])[\w-]+(?![{SOFT}\w-])")
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
    words = {word.lower() for lines in pages for line in lines for word in _words(line, rests)}
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


def _words(line: Line, rests: set[int]) -> Iterator[str]:
    """The whole words of a line, and the parts of those that have a hyphen."""
    for match in _WORD.finditer(line.text):
        is_rest = id(line) in rests and not line.text[: match.start()].strip()
        if match[0].endswith("-") or is_rest:
            continue
        yield match[0]
        if "-" in match[0]:
            yield from match[0].split("-")
