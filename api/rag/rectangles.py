"""Where a quote stands on its page: one box a line, as far as the reader of the document saw where the text is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Rectangle:
    """In points from the top left of the page."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Place:
    """Boxes on a page of that width and height, in points; a page without a known layout has none."""

    page_width: float | None = None
    page_height: float | None = None
    rectangles: tuple[Rectangle, ...] = ()


def place_of(layout: Mapping[str, Any] | None, start: int, end: int) -> Place:
    """Where characters `start` to `end` of the page's text stand. Of a line that they cover in part the box is cut, as
    if its characters were equally wide. `layout` is a `documents.reading.values.Layout` as JSON.
    """
    if not layout:
        return Place()
    width, height = layout["size"]
    boxes = (_cut(line, start, end) for line in layout["lines"])
    return Place(width, height, tuple(box for box in boxes if box))


def _cut(
    line: tuple[int, int, float, float, float, float], start: int, end: int
) -> Rectangle | None:
    first, last, left, top, right, bottom = line
    begins, ends = max(first, start), min(last, end)
    if begins >= ends:
        return None
    character = (right - left) / (last - first)
    return Rectangle(
        round(left + (begins - first) * character, 1),
        top,
        round(left + (ends - first) * character, 1),
        bottom,
    )
