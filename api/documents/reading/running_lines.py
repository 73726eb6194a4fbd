"""Headers, footers and page numbers: what stands at the same place of many pages is left out where it repeats."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from api.documents.reading.lines import Line, Sheet
from api.documents.reading.values import Notice

MARGIN = 0.12
"""Of a page's height, above and below."""
SAME_PLACE = 4.0
FEWEST_PAGES = 3
DENSE = 0.4
"""The least share of the pages from the first to the last with such a line: left and right pages may differ."""
AGREE = 0.8
APART = 0.5
"""The white space between such lines and the text, of a line's height."""
SHOWN = 4
_NUMBER = re.compile(r"\d+")
_NUMBER_ALONE = re.compile(
    r"[-\u2013\u2014|\s]*(?:page|seite|pagina|p\u00e1gina|p\.|s\.)?\s*(?:#|[ivxl]{1,7})"
    r"(?:\s*(?:/|of|von|de|di|sur)\s*#)?[-\u2013\u2014|\s]*"
)

Found = list[tuple[Sheet, Line]]
Place = tuple[str, float]
"""The text, without its numbers, and how far down the page it stands."""


def leave_out_running_lines(sheets: Sequence[Sheet]) -> list[Notice]:
    """Take them out of the pages but for the first one of each text; says which they were."""
    groups = dict(_repeated(sheets))
    running = {id(line): key for key, found in groups.items() for _, line in found}
    first = {
        id(found[0][1]) for (key, _), found in groups.items() if not _NUMBER_ALONE.fullmatch(key)
    }
    left_out = Counter[Place]()
    shown: dict[Place, str] = {}
    for sheet in sheets:
        going = set()
        for lines in (_from_outside(sheet, top=True), _from_outside(sheet, top=False)):
            going |= {id(line) for line in _outer(lines, running)}
        going -= first
        if all(id(line) in going for line in sheet.lines if line.text.strip()):
            continue  # it says nothing else
        for line in sheet.lines:
            if id(line) in going:
                key = running[id(line)]
                left_out[key] += 1
                shown.setdefault(key, line.text.strip())
        sheet.lines = [line for line in sheet.lines if id(line) not in going]
    if not left_out:
        return []
    told = [f'"{shown[key][:60]}" ({count}x)' for key, count in left_out.most_common(SHOWN)]
    more = len(left_out) - len(told)
    rest = f" and {more} more" if more > 0 else ""
    return [
        Notice(
            "running_lines",
            f"Headers, footers and page numbers were left out where they repeat: {', '.join(told)}{rest}.",
        )
    ]


def _repeated(sheets: Sequence[Sheet]) -> Iterator[tuple[Place, Found]]:
    """Lines of one text, but for their numbers, at one place of several pages."""
    places: dict[tuple[str, bool], Found] = defaultdict(list)
    for sheet in sheets:
        for line in sheet.lines:
            if (where := _margin_of(line, sheet)) is not None:
                places[_key(line.text), where].append((sheet, line))
    for (key, _), found in places.items():
        tops = sorted(line.box[1] for _, line in found if line.box)
        usual = tops[len(tops) // 2]
        there = [one for one in found if one[1].box and abs(one[1].box[1] - usual) <= SAME_PLACE]
        pages = sorted({sheet.number for sheet, _ in there})
        if len(pages) < FEWEST_PAGES or len(pages) < DENSE * (pages[-1] - pages[0] + 1):
            continue
        if _numbers_agree(there):
            yield (key, usual), there


def _key(text: str) -> str:
    return _NUMBER.sub("#", " ".join(text.split()).lower())


def _margin_of(line: Line, sheet: Sheet) -> bool | None:
    """Whether it stands in the margin above (true) or below (false) the text."""
    height = sheet.size[1]
    if not line.box or not line.text.strip() or line.quarter or not height:
        return None
    if line.box[3] < MARGIN * height:
        return True
    return False if line.box[1] > (1 - MARGIN) * height else None


def _numbers_agree(found: Found) -> bool:
    """Whether each number is always the same, or counts the pages. The number of an invoice does neither."""
    rows = [(sheet.number, _numbers(line.text)) for sheet, line in found]
    for column in range(len(rows[0][1])):
        same = Counter(numbers[column] for _, numbers in rows)
        counting = Counter(numbers[column] - page for page, numbers in rows)
        if max(*same.values(), *counting.values()) < AGREE * len(rows):
            return False
    return True


def _numbers(text: str) -> list[int]:
    return [int(one[:9]) for one in _NUMBER.findall(text)]


def _from_outside(sheet: Sheet, *, top: bool) -> list[Line]:
    lines = [line for line in sheet.lines if line.box and line.text.strip() and not line.quarter]
    return sorted(lines, key=lambda line: line.box[1] if top else -line.box[3])  # type: ignore[index]


def _outer(lines: Sequence[Line], running: Mapping[int, Place]) -> Sequence[Line]:
    """Those that repeat, from the edge of the page on, as far as white space parts them from the text."""
    count = 0
    while count < len(lines) and id(lines[count]) in running:
        count += 1
    while 0 < count < len(lines) and _distance(lines[count - 1], lines[count]) < APART:
        count -= 1
    return lines[:count]


def _distance(one: Line, other: Line) -> float:
    """Between two lines, of the height of the lower one."""
    if not one.box or not other.box:
        return 0.0
    between = max(other.box[1] - one.box[3], one.box[1] - other.box[3])
    return between / max(min(one.height, other.height), 1.0)
