"""Tables of HTML as rows of text, and which elements are shown at all."""

import re
from collections.abc import Iterator
from typing import Any

from lxml import etree

NOT_SHOWN = frozenset(
    {"script", "style", "noscript", "template", "title", "iframe", "object", "select", "datalist"}
    | {"svg", "button", "audio", "video", "canvas", "textarea"}
)
BLOCKS = frozenset(
    {"address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details"}
    | {"div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "hr"}
    | {"html", "legend", "li", "main", "nav", "ol", "p", "pre", "section", "summary", "table"}
    | {"tbody", "td", "tfoot", "th", "thead", "tr", "ul"}
)
HEADINGS = {f"h{level}": level for level in range(1, 7)}
MAX_SPAN = 100
MOST_TEXTS_A_CELL = 2
MAX_ROW_CELLS = 10_000
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)


def is_hidden(element: Any) -> bool:
    """Whether the element itself says that it is not shown."""
    return element.get("hidden") is not None or bool(_HIDDEN.search(element.get("style") or ""))


def is_of_data(table: Any) -> bool:
    """Whether a table is not one that only lays out other things: tables, headings, a single cell, long texts."""
    if next(table.iterdescendants("table", *HEADINGS), None) is not None:
        return False
    cells = sum(1 for _ in table.iter("td", "th"))
    texts = sum(1 for _ in table.iter("p", "ul", "ol", "pre", "blockquote"))
    return cells > 1 and texts <= cells * MOST_TEXTS_A_CELL


def text_of(element: Any) -> str:
    """All that is shown in a small element, on one line."""
    if element is None:
        return ""
    parts: list[str] = []
    walker = etree.iterwalk(element, events=("start", "end"))
    for event, inner in walker:
        if event == "start" and (inner.tag in NOT_SHOWN or is_hidden(inner)):
            walker.skip_subtree()
        elif event == "start":
            alternative = f" {inner.get('alt') or ''} " if inner.tag == "img" else ""
            parts.append(" " if inner.tag in BLOCKS or inner.tag == "br" else "")
            parts.append(f"{alternative}{inner.text or ''}")
        if event == "end" and inner is not element:
            parts.append(f"{inner.tail or ''}")
    return " ".join("".join(parts).split())


def rows_of(table: Any) -> tuple[list[list[str]], bool | None]:
    """Its cells, each repeated where it spans several; whether the first row says that it is one of names."""
    rows: list[list[str]] = []
    spans: dict[int, tuple[int, str]] = {}  # of columns: for how many rows more, and what
    has_header = None
    for row in table.iter("tr"):
        if is_hidden(row):
            continue
        cells = [one for one in row if one.tag in {"td", "th"} and not is_hidden(one)]
        if not rows and cells:
            names = [one.tag == "th" for one in cells]
            has_header = True if all(names) or _parent_is(row, "thead") else None
        rows.append(list(_filled(cells, spans)))
    return rows, has_header


def _parent_is(element: Any, tag: str) -> bool:
    parent = element.getparent()
    return parent is not None and parent.tag == tag


def _filled(cells: list[Any], spans: dict[int, tuple[int, str]]) -> Iterator[str]:
    column = 0
    for cell in cells:
        while column in spans and column < MAX_ROW_CELLS:
            yield _carried(column, spans)
            column += 1
        text = text_of(cell)
        down = _span(cell, "rowspan") - 1
        for _ in range(_span(cell, "colspan")):
            if down:
                spans[column] = (down, text)
            yield text
            column += 1
            text = ""
    while column in spans and column < MAX_ROW_CELLS:
        yield _carried(column, spans)
        column += 1


def _carried(column: int, spans: dict[int, tuple[int, str]]) -> str:
    left, text = spans.pop(column)
    if left > 1:
        spans[column] = (left - 1, text)
    return text


def _span(cell: Any, name: str) -> int:
    said = str(cell.get(name) or "1").strip()
    return min(max(int(said), 1), MAX_SPAN) if said.isdigit() and len(said) < 9 else 1
