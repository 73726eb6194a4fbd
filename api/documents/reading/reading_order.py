"""The order in which the lines of a page are read: as they are drawn, unless that jumps between columns, or upwards."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from api.documents.reading.lines import Gap, Line

GUTTER = 0.7
"""The least white space between columns, of a line's height."""
ALIGNED = 4.0
"""Points by which the lines of one column may begin apart."""
FEWEST_ROWS = 4
FLOWING = 0.4
"""The least share of lines that begin in lower case: text flows, the cells of a table do not."""
CROSSING = 0.34
"""The most lines, of those with two columns, that may run across between them."""
BOTH_SIDES = 0.7
"""The least share of lines with another one beside them: the cells of a table are not as long as each other."""
MOST_COLUMNS = 4
MOST_LINES = 1_000
"""A page of more is left as it is drawn: to compare each line with each takes too long."""
MOST_TRIED = 8

Gutter = tuple[float, float, float]


@dataclass(slots=True)
class _Row:
    """Text to the left and to the right of white space that ends at `x`."""

    x: float
    line: Line
    left: str
    right: str


def in_reading_order(lines: Sequence[Line]) -> list[Line]:
    """The lines in order; those that stand in columns side by side are cut apart."""
    if len(lines) > MOST_LINES:
        return list(lines)
    upright = [line for line in lines if not line.quarter]
    sideways = [line for line in lines if line.quarter]
    return [*_downwards(_by_columns(upright, MOST_COLUMNS)), *sideways]


def _by_columns(lines: list[Line], most: int) -> list[Line]:
    gutter = _gutter(lines) if most > 1 else None
    if gutter is None:
        return lines
    x, top, bottom = gutter
    band = _band(lines, x, top, bottom)
    within = [line for line in lines if id(line) in band]
    above = [line for line in lines if id(line) not in band and _middle(line) < _middle(within[0])]
    above_ids = {id(line) for line in above}
    below = [line for line in lines if id(line) not in band and id(line) not in above_ids]
    return [*above, *_read_down(within, x, most - 1), *below]


def _read_down(lines: list[Line], x: float, most: int) -> list[Line]:
    """The column on the left, then what is on the right; a line across both parts what is above from what is below."""
    ordered: list[Line] = []
    left: list[Line] = []
    right: list[Line] = []

    def flush() -> None:
        ordered.extend(_by_columns(left, most))
        ordered.extend(_by_columns(right, most))
        left.clear()
        right.clear()

    for line in sorted(lines, key=_middle):
        parts = _cut(line, x)
        if len(parts) == 2:
            left.append(parts[0])
            right.append(parts[1])
        elif _crosses(line, x):
            flush()
            ordered.append(line)
        else:
            (left if _right(line) <= x else right).append(line)
    flush()
    return ordered


def _gutter(lines: Sequence[Line]) -> Gutter | None:
    """Where a second column begins, with top and bottom of the rows that show it: text that is drawn line by line over
    both columns.
    """
    rows = sorted(_rows(lines), key=lambda row: row.x)
    for group in sorted(_aligned(rows), key=len, reverse=True)[:MOST_TRIED]:
        if not _flow([row.left for row in group]) or not _flow([row.right for row in group]):
            continue
        x = group[0].x
        top, bottom = min(_top(row.line) for row in group), max(_bottom(row.line) for row in group)
        within = [line for line in lines if line.box and top <= _middle(line) <= bottom]
        across = sum(_crosses(line, x) for line in within)
        parts = sum(len(_cut(line, x)) for line in within) - across
        if across <= CROSSING * len(group) and 2 * len(group) >= BOTH_SIDES * parts:
            return x, top, bottom
    return None


def _aligned(rows: Sequence["_Row"]) -> Iterator[Sequence["_Row"]]:
    """The rows that begin at about the same place, of those sorted by it: each longest run."""
    first = 0
    for last in range(len(rows)):
        while rows[last].x - rows[first].x > ALIGNED:
            first += 1
        is_last = last + 1 == len(rows) or rows[last + 1].x - rows[first].x > ALIGNED
        if is_last and last + 1 - first >= FEWEST_ROWS:
            yield rows[first : last + 1]


def _rows(lines: Sequence[Line]) -> Iterator["_Row"]:
    """Where text begins that has other text to its left in the same row, drawn just before it."""
    for line in lines:
        edges = [0, *(gap.end for gap in line.gaps), len(line.text)]
        for position, gap in enumerate(line.gaps):
            if gap.right - gap.left >= GUTTER * line.height:
                left = line.text[edges[position] : gap.start]
                yield _Row(gap.right, line, left, line.text[gap.end :])
    placed = [line for line in lines if line.box]
    for one, other in pairwise(placed):
        if _is_beside(one, other):
            last = one.gaps[-1].end if one.gaps else 0
            yield _Row(_left(other), other, one.text[last:], other.text)


def _is_beside(one: Line, other: Line) -> bool:
    shared = min(_bottom(one), _bottom(other)) - max(_top(one), _top(other))
    least = min(one.height, other.height)
    return shared > least / 2 and _left(other) - _right(one) >= GUTTER * least


def _flow(texts: Sequence[str]) -> bool:
    """Whether these are lines of running text."""
    words = sorted(len(text.split()) for text in texts)
    starts = [text.strip()[:1] for text in texts]
    flowing = sum(start.islower() for start in starts) + sum(
        _has_no_case(start) for start in starts
    )
    letters = sum(one.isalpha() for text in texts for one in text)
    whole = sum(len("".join(text.split())) for text in texts)
    enough = words[len(words) // 2] >= 2 or letters >= 6 * len(texts)
    return enough and flowing >= FLOWING * len(texts) and letters >= 0.7 * whole


def _has_no_case(start: str) -> bool:
    return start.isalpha() and start.lower() == start.upper()


def _band(lines: Sequence[Line], x: float, top: float, bottom: float) -> set[int]:
    """The lines that stand in the columns: those of the rows, and what follows above and below without crossing."""
    members = {id(line) for line in lines if line.box and top <= _middle(line) <= bottom}
    rest = [line for line in lines if line.box and id(line) not in members]
    for line in sorted((one for one in rest if _middle(one) > bottom), key=_middle):
        if _crosses(line, x) or _top(line) - bottom > 1.5 * line.height:
            break
        members.add(id(line))
        bottom = max(bottom, _bottom(line))
    for line in sorted((one for one in rest if _middle(one) < top), key=_middle, reverse=True):
        if _crosses(line, x) or top - _bottom(line) > 1.5 * line.height:
            break
        members.add(id(line))
        top = min(top, _top(line))
    return members


def _crosses(line: Line, x: float) -> bool:
    return _left(line) < x - ALIGNED and _right(line) > x and len(_cut(line, x)) == 1


def _cut(line: Line, x: float) -> list[Line]:
    """The two parts of a line where white space stands before `x`."""
    for gap in line.gaps:
        if gap.left < x and abs(gap.right - x) <= 2 * ALIGNED and line.box:
            return _parts(line, gap)
    return [line]


def _parts(line: Line, gap: Gap) -> list[Line]:
    left, top, right, bottom = line.box or (0, 0, 0, 0)
    before = [one for one in line.gaps if one.end <= gap.start]
    after = [
        replace(one, start=one.start - gap.end, end=one.end - gap.end)
        for one in line.gaps
        if one.start >= gap.end
    ]
    return [
        replace(line, text=line.text[: gap.start], box=(left, top, gap.left, bottom), gaps=before),
        replace(line, text=line.text[gap.end :], box=(gap.right, top, right, bottom), gaps=after),
    ]


def _downwards(lines: list[Line]) -> list[Line]:
    """A line that is drawn after others of its column but stands above them goes before the first of them."""
    if not _goes_up(lines):
        return lines
    ordered: list[Line] = []
    for line in lines:
        above = (at for at, other in enumerate(ordered) if _is_above(line, other))
        ordered.insert(next(above, len(ordered)), line)
    return ordered


def _goes_up(lines: Sequence[Line]) -> bool:
    placed = [line for line in lines if line.box]
    jumps = [
        position + 1
        for position, (one, other) in enumerate(pairwise(placed))
        if _middle(other) < _top(one)
    ]
    return any(_is_above(placed[at], earlier) for at in jumps for earlier in placed[:at])


def _is_above(upper: Line, lower: Line) -> bool:
    if (
        not upper.box
        or not lower.box
        or _bottom(upper) > _middle(lower)
        or _middle(upper) > _top(lower)
    ):
        return False
    shared = min(_right(upper), _right(lower)) - max(_left(upper), _left(lower))
    return shared > 0.5 * min(_right(upper) - _left(upper), _right(lower) - _left(lower))


def _left(line: Line) -> float:
    return line.box[0] if line.box else 0.0


def _top(line: Line) -> float:
    return line.box[1] if line.box else 0.0


def _right(line: Line) -> float:
    return line.box[2] if line.box else 0.0


def _bottom(line: Line) -> float:
    return line.box[3] if line.box else 0.0


def _middle(line: Line) -> float:
    return (_top(line) + _bottom(line)) / 2
