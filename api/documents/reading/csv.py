"""CSV: a line a row, each cell under the name of its column, so that a row reads alone."""

import csv
import io
from collections.abc import Iterator, Sequence

from api.documents.reading.decoding import decode, read_bytes
from api.documents.reading.sections import Pages
from api.documents.reading.tables import sheet_lines
from api.documents.reading.values import MAX_TITLE_CHARACTERS, Notice, Text, Unusable
from finetune.data.csv import DELIMITERS, SAID

MAX_CELL_CHARACTERS = 1_000_000
SAMPLE_LINES = 20


def read(file: str, max_pages: int, max_characters: int) -> Text:
    """All rows; a first row that names no columns is one of them."""
    text, notices = decode(read_bytes(file, max_characters))
    uneven: list[int] = []
    pages = Pages(max_pages, max_characters)
    title = opening = ""
    for number, line in sheet_lines(_counted(_rows(text.lstrip("\n\r")), uneven), 1):
        pages.add(line, "\n", opening and f"from row {number}")
        title, opening = title or line, "from row"
    if uneven:
        notices.append(_uneven(uneven))
    return Text(title[:MAX_TITLE_CHARACTERS], pages.all(), [], notices)


def _counted(rows: Iterator[list[str]], uneven: list[int]) -> Iterator[tuple[int, list[str]]]:
    """The rows with their numbers; those that have not as many cells as the first are noted."""
    width = None
    for number, row in enumerate(rows, start=1):
        width = width or len(row)
        if len(row) != width:
            uneven.append(number)
        yield number, row


def _rows(text: str) -> Iterator[list[str]]:
    """The cells of each row that is not blank, by the delimiter that cuts the first rows into most columns alike."""
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    first, _, rest = text.partition("\n")
    if said := SAID.fullmatch(first.strip(' "\r')):
        delimiter, text = said[1], rest
    else:
        sample = [line for line in text[: 2**16].splitlines()[:SAMPLE_LINES] if line.strip()]
        delimiter = max(DELIMITERS, key=lambda one: _fits(sample, one))
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if any(cell.strip() for cell in row):
                yield row
    except csv.Error as error:
        raise Unusable("broken", f"The CSV cannot be read: {error}.") from error


def _fits(sample: Sequence[str], delimiter: str) -> tuple[int, int]:
    widths = [len(row) for row in csv.reader(sample, delimiter=delimiter)]
    width = max(set(widths), key=widths.count) if widths else 1
    return (widths.count(width) if width > 1 else 0, width)


def _uneven(rows: list[int]) -> Notice:
    some = ", ".join(map(str, rows[:10]))
    more = f" and {len(rows) - 10} more" if len(rows) > 10 else ""
    detail = f"Rows with another number of cells than the first: {some}{more}. They are kept as they are."
    return Notice("uneven_rows", detail)
