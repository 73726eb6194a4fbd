"""Tables of numbers by year: each number under the head of its column, so that a row reads alone.

Only where white space and the heads leave no doubt.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from api.documents.reading.lines import Line
from api.documents.reading.tables import row_line

MOST_LINES_BETWEEN = 4
"""Between the heads and a row, or two rows; more of them are text, and the table has ended."""
MOST_HEAD_CHARACTERS = 40
_NUMBER = re.compile(
    r"[($\u20ac\u00a3\s+-]*[\d.,]*\d[\d.,]*\s*[)%x]*|[\u2014\u2013-]+|n/?[am]", re.I
)
_CURRENCY = re.compile(r"[$\u20ac\u00a3(]+")
_PERIOD = re.compile(r"\b(?:19|20)\d\d\b|\bQ[1-4]\b|\bFY\d\d\b")
_YEAR_ALONE = re.compile(r"(?:19|20)\d\d[A-Z]?")


@dataclass(slots=True)
class _Cell:
    text: str
    left: float
    right: float


def name_columns(lines: Sequence[Line]) -> None:
    """Rewrite the rows of such tables in place."""
    heads: list[_Cell] = []
    since = 0
    for line in lines:
        cells = _cells(line)
        since += 1
        if found := _heads(cells):
            heads, since = found, 0
        elif heads and since <= MOST_LINES_BETWEEN and _is_row(cells):
            names = [_head_of(cell, heads) for cell in cells[1:]]
            if all(names):
                line.text = row_line(["", *names], [cell.text for cell in cells])
                line.gaps = []
                since = 0


def _cells(line: Line) -> list[_Cell]:
    """What stands between wide gaps; a sign of currency belongs to its number."""
    if not line.box or not line.gaps or line.quarter:
        return []
    starts = [(0, line.box[0]), *((gap.end, gap.right) for gap in line.gaps)]
    ends = [*((gap.start, gap.left) for gap in line.gaps), (len(line.text), line.box[2])]
    cells: list[_Cell] = []
    for (start, left), (end, right) in zip(starts, ends, strict=True):
        text = line.text[start:end].strip()
        if cells and (_CURRENCY.fullmatch(cells[-1].text) or _ends_number(cells[-1].text, text)):
            cells[-1] = _Cell(cells[-1].text + text, cells[-1].left, right)
        else:
            cells.append(_Cell(text, left, right))
    return cells


def _ends_number(number: str, text: str) -> bool:
    return (
        text in {"%", ")", ")%"} and bool(_NUMBER.fullmatch(number)) and not _PERIOD.search(number)
    )


def _heads(cells: Sequence[_Cell]) -> list[_Cell]:
    """The heads of columns, of which two or more name a period; empty where this is no line of heads."""
    named = [cell for cell in cells if _PERIOD.search(cell.text)]
    others = [cell for cell in cells if not _PERIOD.search(cell.text)]
    short = all(len(cell.text) <= MOST_HEAD_CHARACTERS for cell in named)
    if len(named) < 2 or not short or any(_NUMBER.fullmatch(cell.text) for cell in others):
        return []
    return [cell for cell in cells if cell in named or cell.left > named[0].left]


def _is_row(cells: Sequence[_Cell]) -> bool:
    """A name, then numbers that are not all years."""
    if len(cells) < 3 or not re.search(r"[^\W\d_]", cells[0].text):
        return False
    numbers = [cell.text for cell in cells[1:]]
    return all(map(_NUMBER.fullmatch, numbers)) and not all(map(_YEAR_ALONE.fullmatch, numbers))


def _head_of(cell: _Cell, heads: Sequence[_Cell]) -> str:
    """The name of its column: the head above it, else none."""
    nearest = min(heads, key=lambda head: _apart(cell, head))
    return nearest.text if _apart(cell, nearest) <= _reach(heads) else ""


def _apart(cell: _Cell, head: _Cell) -> float:
    """From edge to edge, the smaller of both sides, or of the middles: columns stand flush or centred."""
    middles = abs((cell.left + cell.right) - (head.left + head.right)) / 2
    return min(abs(cell.right - head.right), abs(cell.left - head.left), middles)


def _reach(heads: Sequence[_Cell]) -> float:
    """A third of the distance between columns."""
    lefts = sorted(head.right for head in heads)
    return min(right - left for left, right in pairwise(lefts)) / 3
