"""The outline of a PDF (its bookmarks) as names of its pages: the titles that the first text of each stands under."""

from collections.abc import Iterator, Sequence

import pypdfium2
import pypdfium2.raw as pdfium

from api.documents.reading.text import clean
from api.documents.reading.values import MAX_TITLE_CHARACTERS, ReadPage

MOST_TITLES = 10_000
MOST_LEVELS = 6
AT_THE_TOP = 0.25
"""The part of a page in which a section that begins there is what all of the page stands under."""


def name_pages(pdf: pypdfium2.PdfDocument, pages: Sequence[ReadPage]) -> None:
    """Give each page its `label`."""
    starts = list(_sections(pdf))
    at, before = 0, ""
    for page in pages:
        label = before
        while at < len(starts) and starts[at][0] < page.number:
            label = before = starts[at][2]
            at += 1
        if at < len(starts) and starts[at][:2] == (page.number, True):
            label = starts[at][2]
        page.label = label


def _sections(pdf: pypdfium2.PdfDocument) -> Iterator[tuple[int, bool, str]]:
    """Page, whether it begins at its top, and trail of each title, as far as they go forwards."""
    trail: list[str] = []
    last = 0
    for count, bookmark in enumerate(pdf.get_toc(max_depth=MOST_LEVELS)):
        if count == MOST_TITLES:
            return
        title = " ".join(clean(bookmark.get_title()).split())
        target = bookmark.get_dest()
        index = target.get_index() if target else None
        trail[bookmark.level :] = [title]
        if title and index is not None and index + 1 >= last:
            last = index + 1
            yield last, _is_at_top(pdf, index, target), " > ".join(trail)[:MAX_TITLE_CHARACTERS]


def _is_at_top(pdf: pypdfium2.PdfDocument, index: int, target: pypdfium2.PdfDest) -> bool:
    """Whether the title stands in the top part of its page, as far as its link says where."""
    if index >= len(pdf):
        return False
    kind, where = target.get_view()
    if kind != pdfium.PDFDEST_VIEW_XYZ or len(where) < 2 or not where[1]:
        return True
    _, bottom, _, top = pdf[index].get_bbox()
    return bool(where[1] > top - AT_THE_TOP * (top - bottom))
