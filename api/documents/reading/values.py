"""What a reader finds, and the bounds that hold for each. Plain values: they travel as JSON."""

from dataclasses import dataclass, field

CPU_SECONDS = 20
CPU_SECONDS_PER_PAGE = 0.1
MAX_PAGE_CHARACTERS = 1_000_000
MAX_TITLE_CHARACTERS = 200


class Unusable(Exception):
    """The file cannot be used: a reason and a detail."""


@dataclass
class Layout:
    """Where the text of a page stands: `size` is (width, height) as the page is shown, and each line of `lines` is
    [start, end, left, top, right, bottom]: characters of the page's text, and their box. In points, from the top left.
    """

    size: tuple[float, float]
    lines: list[tuple[int, int, float, float, float, float]]


@dataclass
class ReadPage:
    """One page, from number 1. `label` is what its owner calls it where that is no number: a sheet, a section; and
    `recognised` says that the text was read off a picture.
    """

    number: int
    text: str
    label: str = ""
    recognised: bool = False
    layout: Layout | None = None


@dataclass
class Notice:
    """Something that was left out or changed, and on which pages (none: in all of the document). The codes stand in
    docs/documents.md.
    """

    code: str
    detail: str
    pages: list[int] = field(default_factory=list)


@dataclass
class Text:
    """What a reader found; `unreadable` are the numbers of pages that failed."""

    title: str
    pages: list[ReadPage]
    unreadable: list[int]
    notices: list[Notice] = field(default_factory=list)
    language: str = ""
    """ISO 639-1, empty when it is not known."""
