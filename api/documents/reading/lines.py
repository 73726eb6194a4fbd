"""Lines of a page with the boxes they stand in, and the page that is made of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from api.documents.reading.text import clean
from api.documents.reading.values import Layout, ReadPage

Box = tuple[float, float, float, float]
"""Left, top, right and bottom in points, from the top left."""


@dataclass(slots=True)
class Gap:
    """White space between two words of a line: characters `start` to `end` of it, `left` to `right` on the page."""

    start: int
    end: int
    left: float
    right: float


@dataclass(slots=True)
class Line:
    """One line as it is printed. `gaps` are the wide ones between its words, `quarter` how often it is turned
    clockwise by 90 degrees, and `after` what stands between it and the next line.
    """

    text: str
    box: Box | None = None
    gaps: list[Gap] = field(default_factory=list)
    quarter: int = 0
    after: str = "\n"

    @property
    def height(self) -> float:
        """Of its box."""
        return self.box[3] - self.box[1] if self.box else 0.0


@dataclass(slots=True)
class Sheet:
    """One page while it is read. The boxes of its lines stand on a page of `size` where most text is upright; the page
    is shown turned by `quarter`.
    """

    number: int
    lines: list[Line]
    size: tuple[float, float] = (0.0, 0.0)
    quarter: int = 0
    is_picture: bool = False
    """Whether a picture fills it."""
    unreadable: int = 0
    """Characters left out because their font does not say which letters they are."""
    recognised: bool = False
    notes: list[str] = field(default_factory=list)
    """What notes on it say."""
    files: list[str] = field(default_factory=list)
    """Names of files that hang on it."""

    @property
    def text(self) -> str:
        """All of its lines."""
        return "\n".join(line.text for line in self.lines)


def turned(box: Box, size: tuple[float, float], quarters: int) -> Box:
    """The box after its page of that size is turned clockwise by quarters."""
    left, top, right, bottom = box
    width, height = size
    match quarters % 4:
        case 1:
            return height - bottom, left, height - top, right
        case 2:
            return width - right, height - bottom, width - left, height - top
        case 3:
            return top, width - right, bottom, width - left
    return box


def turned_size(size: tuple[float, float], quarters: int) -> tuple[float, float]:
    """The size of a page that is turned by quarters."""
    return (size[1], size[0]) if quarters % 2 else size


def page_of(sheet: Sheet) -> ReadPage:
    """The page of these lines, with the place of each of them."""
    lines = _without_empty_ends(sheet.lines)
    parts: list[str] = []
    places: list[tuple[int, int, float, float, float, float]] = []
    at = 0
    for position, line in enumerate(lines):
        if line.text and line.box:
            left, top, right, bottom = turned(line.box, sheet.size, sheet.quarter)
            rounded = (round(left, 1), round(top, 1), round(right, 1), round(bottom, 1))
            places.append((at, at + len(line.text), *rounded))
        part = line.text + (line.after if position < len(lines) - 1 else "")
        parts.append(part)
        at += len(part)
    width, height = turned_size(sheet.size, sheet.quarter)
    layout = Layout((round(width, 1), round(height, 1)), places) if places else None
    return ReadPage(sheet.number, "".join(parts), recognised=sheet.recognised, layout=layout)


def _without_empty_ends(lines: Sequence[Line]) -> list[Line]:
    full = [position for position, line in enumerate(lines) if line.text]
    return list(lines[full[0] : full[-1] + 1]) if full else []


def cleaned(lines: Sequence[Line]) -> list[Line]:
    """The lines as they can be stored."""
    for line in lines:
        line.text = clean(line.text)
    return list(lines)
