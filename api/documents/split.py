"""Pages to chunks: verbatim slices of one page each, cut where the text itself pauses.

First `pieces` cuts pages into lines and sentences; the caller counts their tokens; then `pack` puts neighbours
together, as many as fit: a heading is the best place to cut, and never makes a chunk small by itself. Chunks of single
short sections say too little to be found by (docs/experiments.md).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import groupby

from api.store.chunks import Chunk
from api.store.contents import Page


class Pause(IntEnum):
    """What stands before a piece; a stronger one is a better place to cut."""

    NONE = 0
    LINE = 1
    SENTENCE = 2
    PARAGRAPH = 3
    HEADING = 4


@dataclass(frozen=True, slots=True)
class Piece:
    """Some characters of a page that stay together."""

    page: int
    start: int
    end: int
    text: str
    pause: Pause

    @property
    def is_heading(self) -> bool:
        """Whether it names what follows."""
        return self.pause is Pause.HEADING


@dataclass(frozen=True, slots=True)
class _Line:
    start: int
    text: str
    after_blank: bool


_SENTENCE_END = re.compile(r"[.!?][\"')\]\u201d\u2019]*\s+(?=[\"'(\[\u201c]?[A-Z0-9\u2022])")
_ENDS_SENTENCE = re.compile(r"[.!?][\"')\]\u201d\u2019]*$")
_LONGEST_SENTENCE_END = 40
_BULLET = re.compile(r"[\u2022\u2023\u25aa\u25cf\u25e6\u2043*\u2013-] |\(?\w{1,2}[.)] ")
_LONGEST_HEADING = 80
_MOST_HEADING_WORDS = 12


def pieces(pages: Sequence[Page], longest: int) -> list[Piece]:
    """Lines and sentences of all pages, none above `longest` characters."""
    return [piece for page in pages for piece in _page_pieces(page, longest)]


def _page_pieces(page: Page, longest: int) -> Iterator[Piece]:
    lines = list(_lines(page.text))
    before = ""
    for at, line in enumerate(lines):
        pause = _pause(lines, at, before)
        for start, end in _sentences(line.text, longest):
            yield Piece(
                page.number, line.start + start, line.start + end, line.text[start:end], pause
            )
            last = line.text[max(start, end - _LONGEST_SENTENCE_END) : end]
            pause = Pause.SENTENCE if _ENDS_SENTENCE.search(last) else Pause.NONE
        before = line.text


def _lines(text: str) -> Iterator[_Line]:
    start, after_blank = 0, True
    for raw in text.split("\n"):
        stripped = raw.strip()
        if stripped:
            yield _Line(start + len(raw) - len(raw.lstrip()), stripped, after_blank)
        after_blank = not stripped
        start += len(raw) + 1


def _pause(lines: Sequence[_Line], at: int, before: str) -> Pause:
    line = lines[at]
    if _is_heading(lines, at):
        return Pause.HEADING
    if line.after_blank or _BULLET.match(line.text) or line.text.endswith(":"):
        return Pause.PARAGRAPH
    return Pause.SENTENCE if _ENDS_SENTENCE.search(before) else Pause.LINE


def _is_heading(lines: Sequence[_Line], at: int) -> bool:
    """A short line without a full stop, after something that ended and before something that reads as text,
    or before one more heading.
    """
    if not _looks_like_heading(lines[at].text):
        return False
    if not (lines[at].after_blank or at == 0 or _may_end(lines[at - 1].text)):
        return False
    following = lines[at + 1 : at + 5]
    return _begins_text(following[:3]) or (
        len(following) > 1
        and _looks_like_heading(following[0].text)
        and _begins_text(following[1:])
    )


def _looks_like_heading(text: str) -> bool:
    return (
        2 <= len(text) <= _LONGEST_HEADING
        and text[-1] not in ".,;!:"  # what ends with a colon names a part of a section
        and ": " not in text
        and not text[0].islower()
        and len(text.split()) <= _MOST_HEADING_WORDS
        and not re.match(r"[\u2022\u2023\u25aa\u25cf\u25e6\u2043*\u2013-]", text)
        and sum(map(str.isalpha, text)) * 2 > len(text)
    )


def _may_end(text: str) -> bool:
    return bool(_ENDS_SENTENCE.search(text)) or len(text) < _LONGEST_HEADING // 2


def _begins_text(following: Sequence[_Line]) -> bool:
    if not following:
        return False
    first = following[0].text
    reads_on = len(first.split()) >= 4 or _ENDS_SENTENCE.search(first)
    has_sentence = any(_ENDS_SENTENCE.search(line.text) for line in following)
    return not first[0].islower() and bool(reads_on) and (has_sentence or len(first) >= 60)


def _sentences(text: str, longest: int) -> Iterator[tuple[int, int]]:
    start = 0
    for end in [*(match.end() for match in _SENTENCE_END.finditer(text)), len(text)]:
        while end - start > longest:
            cut = text.rfind(" ", start + 1, start + longest)
            cut = cut + 1 if cut > start else start + longest
            yield start, cut
            start = cut
        if end > start:
            yield start, end
            start = end


def pack(
    pages: Sequence[Page], found: Sequence[Piece], tokens: Sequence[int], limit: int, overlap: int
) -> list[Chunk]:
    """Neighbouring pieces of one page, up to `limit` tokens, together, under the heading that holds where they begin;
    up to `overlap` tokens of a chunk's end begin the next one, unless that begins with a heading.
    """
    texts = {page.number: page.text for page in pages}
    chunks: list[Chunk] = []
    heading = ""
    for on_page in _by_page(list(zip(found, tokens, strict=True))):
        headings = _headings(on_page, heading)
        for start, end in _cuts(on_page, limit, overlap):
            first, last = on_page[start][0], on_page[end - 1][0]
            text = texts[first.page][first.start : last.end].strip()
            count = sum(number for _, number in on_page[start:end])
            chunks.append(Chunk(len(chunks), first.page, headings[start], text, count))
        heading = headings[-1]
    return chunks


_Counted = tuple[Piece, int]


def _by_page(counted: Sequence[_Counted]) -> Iterator[list[_Counted]]:
    for _, on_page in groupby(counted, key=lambda pair: pair[0].page):
        yield list(on_page)


def _headings(on_page: Sequence[_Counted], before: str) -> list[str]:
    """For each piece the heading that holds there: of several that follow each other the last."""
    held: list[str] = []
    for piece, _ in on_page:
        before = piece.text.strip() if piece.is_heading else before
        held.append(before)
    for at in range(len(on_page) - 2, -1, -1):
        if on_page[at][0].is_heading and on_page[at + 1][0].is_heading:
            held[at] = held[at + 1]
    return held


def _cuts(on_page: Sequence[_Counted], limit: int, overlap: int) -> Iterator[tuple[int, int]]:
    start = new = 0  # pieces from `start` to `new` stand in the chunk before as well
    while new < len(on_page):
        end = _fitting(on_page, start, limit)
        if end < len(on_page):
            end = _best_pause(on_page, max(new + 1, (start + end) // 2), end)
        yield start, end
        start, new = _overlapping(on_page, start, end, limit, overlap), end


def _fitting(on_page: Sequence[_Counted], start: int, limit: int) -> int:
    total, end = on_page[start][1], start + 1
    while end < len(on_page) and total + on_page[end][1] <= limit:
        total += on_page[end][1]
        end += 1
    return end


def _best_pause(on_page: Sequence[_Counted], earliest: int, latest: int) -> int:
    """The strongest pause between the two, the last of them."""
    return max(range(earliest, latest + 1), key=lambda at: (on_page[at][0].pause, at))


def _overlapping(
    on_page: Sequence[_Counted], start: int, end: int, limit: int, overlap: int
) -> int:
    if end == len(on_page) or on_page[end][0].is_heading:
        return end
    room = min(overlap, limit - on_page[end][1])
    begin = end
    while begin - 1 > start and on_page[begin - 1][1] <= room:
        begin -= 1
        room -= on_page[begin][1]
    return begin
