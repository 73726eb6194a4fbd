"""One page of a PDF as PDFium sees it: its lines and where they stand, whether its letters are known, its pictures."""

import ctypes
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import repeat

import pypdfium2
import pypdfium2.raw as pdfium

from api.documents.reading.lines import Box, Gap, Line, Sheet, cleaned, turned, turned_size
from api.documents.reading.pdf_annotations import as_seen
from api.documents.reading.plausible import is_private, looks_written, without_icons
from api.documents.reading.values import MAX_PAGE_CHARACTERS, Unusable

_LINE = re.compile(r"[^\r\n\x02\ufffe]*(?:[\x02\ufffe]\s*|\r\n|\r|\n|$)")
_WORD = re.compile(r"\S+")
_ASTRAL = re.compile("([\U00010000-\U0010ffff])")
WIDE_GAP = 0.5
"""Of the line's height."""
FEW_CHARACTERS = 100
FILLS = 0.5
"""The share of a page that a picture covers where the page is a scan, whatever little text stands on it."""
_LOOSE_BOX = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)(
    ctypes.cast(pdfium.FPDFText_GetLooseCharBox, ctypes.c_void_p).value  # type: ignore[arg-type]
)
"""Writes left, top, right and bottom of a letter to an address: many are asked for, and objects would cost more."""
SIDES_BYTES = 4 * ctypes.sizeof(ctypes.c_float)
MANY_PATHS = 40
"""More drawing than this on a page without text may be text as outlines."""


def sheet_of(pdf: pypdfium2.PdfDocument, index: int) -> Sheet:
    """The page as it is shown, with what was filled into its forms."""
    page, notes, files = as_seen(pdf, index)
    text_page = page.get_textpage()
    if text_page.count_chars() > MAX_PAGE_CHARACTERS:
        raise too_much_text(index + 1)
    letters = _Letters(text_page, page)
    lines, unreadable = _readable(list(letters.lines()))
    sheet = Sheet(
        index + 1,
        lines,
        letters.size,
        letters.quarter,
        unreadable=unreadable,
        notes=notes,
        files=files,
    )
    if len(sheet.text.strip()) < FEW_CHARACTERS:
        sheet.is_picture = _is_picture(page, has_text=bool(sheet.text.strip()))
    return sheet


def too_much_text(number: int) -> Unusable:
    """The bound on characters."""
    return Unusable(
        "too_much_text", f"The PDF holds too much text (at page {number}). Split it into parts."
    )


class _Letters:
    """The characters of a page, and where they stand."""

    def __init__(self, text_page: pypdfium2.PdfTextPage, page: pypdfium2.PdfPage) -> None:
        self._handle = text_page.raw
        units = text_page.get_text_range() if text_page.count_chars() else ""
        self._text = _ASTRAL.sub("\\1\x00", units)  # one position a UTF-16 unit, as PDFium counts
        self._is_plain = len(self._text) == text_page.count_chars()
        self._address = ctypes.cast(self._handle, ctypes.c_void_p).value
        self._edges = [ctypes.c_double() for _ in range(4)]
        left, bottom, right, top = page.get_bbox()
        self._corner, self._size = (left, top), (right - left, top - bottom)
        self._spans = [
            (match.start(), list(map(re.Match.span, _WORD.finditer(match[0]))), match[0])
            for match in _LINE.finditer(self._text)
            if match[0]
        ]
        self._quarters = [self._quarter_of(start, words) for start, words, _ in self._spans]
        weights = Counter[int]()
        for quarter, (_, _, text) in zip(self._quarters, self._spans, strict=True):
            weights[quarter] += len(text)
        self._upright = max(weights, key=lambda one: (weights[one], -one), default=0)
        self.size = turned_size(self._size, self._upright)
        self.quarter = (self._upright + page.get_rotation() // 90) % 4

    def lines(self) -> Iterator[tuple[Line, bool]]:
        """Each line, and whether the font says which letters it is made of."""
        for (start, words, text), quarter in zip(self._spans, self._quarters, strict=True):
            bare = text.rstrip("\r\n").replace("\x00", "")
            if not words:
                yield Line(bare), True
                continue
            box, lefts, rights = self._places(start, words, is_upright=quarter == 0)
            gaps = list(_gaps(words, lefts, rights, WIDE_GAP * (box[3] - box[1])))
            line = Line(bare, box, gaps, (quarter - self._upright) % 4)
            yield line, self._is_known(start, words)

    def _is_known(self, start: int, words: list[tuple[int, int]]) -> bool:
        """Ask for the first and the middle letter, and only if one of them is not known for each."""
        first, middle = words[0][0], words[len(words) // 2][1] - 1
        if not (self._has_no_letter(start + first) or self._has_no_letter(start + middle)):
            return True
        wanted = [at for word in words for at in range(*word)]
        return sum(self._has_no_letter(start + at) for at in wanted) < len(wanted) / 2

    def _has_no_letter(self, at: int) -> bool:
        return bool(pdfium.FPDFText_HasUnicodeMapError(self._handle, self._index(at)) == 1)

    def _index(self, at: int) -> int:
        if self._is_plain:
            return at
        return int(pdfium.FPDFText_GetCharIndexFromTextIndex(self._handle, at))

    def _quarter_of(self, start: int, words: list[tuple[int, int]]) -> int:
        """How often it is turned clockwise."""
        if not words:
            return 0
        angle = pdfium.FPDFText_GetCharAngle(self._handle, self._index(start + words[0][0]))
        return round(angle / (math.pi / 2)) % 4 if angle > 0 else 0

    def _places(
        self, start: int, words: list[tuple[int, int]], *, is_upright: bool
    ) -> tuple[Box, list[float], list[float]]:
        """The box of a line, and where its words begin and end: by the first and the last letter of each."""
        letters = [start + at for first, last in words for at in (first, last - 1)]
        if not self._is_plain:
            letters = list(map(self._index, letters))
        sides = self._loose(letters) if is_upright else self._tight(letters)
        lefts, tops, rights, bottoms = (sides[side::4] for side in range(4))
        (x, y), size, upright = self._corner, self._size, self._upright
        if upright:
            boxes = zip(lefts, tops, rights, bottoms, strict=True)
            placed = (turned((a - x, y - b, c - x, y - d), size, -upright) for a, b, c, d in boxes)
            lefts, tops, rights, bottoms = map(list, zip(*placed, strict=True))
            top, bottom, x = min(tops), max(bottoms), 0.0
        else:
            top, bottom = y - max(tops), y - min(bottoms)
        begins = [left - x for left in map(min, lefts[::2], lefts[1::2])]
        ends = [right - x for right in map(max, rights[::2], rights[1::2])]
        return (min(begins), top, max(ends), bottom), begins, ends

    def _loose(self, letters: Sequence[int]) -> list[float]:
        """With the room that its font takes, all letters of a line are as high: left, top, right, bottom of each."""
        sides = (ctypes.c_float * (4 * len(letters)))()
        begin = ctypes.addressof(sides)
        places = range(begin, begin + ctypes.sizeof(sides), SIDES_BYTES)
        found = list(map(_LOOSE_BOX, repeat(self._address), letters, places))
        if not all(found):
            return _with_the_one_before(sides[:], found)
        return sides[:]

    def _tight(self, letters: Sequence[int]) -> list[float]:
        left, right, bottom, top = self._edges
        sides: list[float] = []
        for letter in letters:
            pdfium.FPDFText_GetCharBox(self._handle, letter, left, right, bottom, top)
            sides += (left.value, top.value, right.value, bottom.value)
        return sides


def _with_the_one_before(sides: list[float], found: Sequence[int]) -> list[float]:
    """The boxes, and for a letter that has none that of the one before."""
    for at in range(1, len(found)):
        if not found[at]:
            sides[4 * at : 4 * at + 4] = sides[4 * at - 4 : 4 * at]
    return sides


def _gaps(
    words: list[tuple[int, int]], lefts: list[float], rights: list[float], least: float
) -> Iterator[Gap]:
    for at in range(1, len(words)):
        if lefts[at] - rights[at - 1] > least:
            yield Gap(words[at - 1][1], words[at][0], rights[at - 1], lefts[at])


def _readable(lines: list[tuple[Line, bool]]) -> tuple[list[Line], int]:
    """The lines that are text, and how many characters are not: letters that the font does not name, and that make no
    sense.
    """
    unnamed = " ".join(line.text for line, is_known in lines if not is_known)
    keeps_unnamed = not unnamed or looks_written(unnamed)
    kept, unreadable = [], 0
    for line, is_known in lines:
        line.text = without_icons(line.text)
        if (is_known or keeps_unnamed) and not is_private(line.text):
            kept.append(line)
        else:
            unreadable += len(line.text)
    return cleaned(kept), unreadable


def _is_picture(page: pypdfium2.PdfPage, *, has_text: bool) -> bool:
    """Whether a picture fills the page; without text, whether there is any, or much that is drawn."""
    width, height = page.get_size()
    paths = 0
    for thing in page.get_objects(
        filter=(pdfium.FPDF_PAGEOBJ_IMAGE, pdfium.FPDF_PAGEOBJ_PATH), max_depth=3
    ):
        if thing.type == pdfium.FPDF_PAGEOBJ_PATH:
            paths += 1
            if paths > MANY_PATHS and not has_text:
                return True
            continue
        left, bottom, right, top = thing.get_bounds()
        if not has_text or (right - left) * (top - bottom) >= FILLS * width * height:
            return True
    return False
