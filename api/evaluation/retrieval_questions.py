"""Questions with the pages that answer them, from a table: CSV, JSON Lines or JSON."""

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.datasets.receiving import Upload, receive, refusal
from api.errors import DatasetUnusable
from finetune.data.csv import open_csv
from finetune.data.errors import DatasetError, RowError
from finetune.data.jsonl import open_json, open_jsonl
from finetune.data.sniff import sniff
from finetune.data.table import Table, TableRow, name_key

FIELD = "questions"
NEEDED = ("question", "document")
PAGES = ("pages", "page")
MAX_QUESTION_CHARACTERS = 10_000
MOST_PAGES = 1000
"""Of one question."""
SHOWN = 20
_RANGE = re.compile(r"(\d{1,6})(?:\s*[-\u2013]\s*(\d{1,6}))?")


@dataclass(frozen=True, slots=True)
class Place:
    """A page of a document, by the name or id that the questions call it."""

    document: str
    page: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and every page that answers it. `proposed_by` is the model that made it up, empty for a person."""

    question: str
    expected: tuple[Place, ...]
    proposed_by: str = ""


class NotPages(ValueError):
    """No numbers of pages."""


def read_questions(upload: Upload, uploads_dir: Path, most: int) -> list[Asked]:
    """The questions of a file in their order; rows of one question are one. `errors.DatasetUnusable` names each row
    that is wrong.
    """
    with tempfile.TemporaryDirectory(dir=uploads_dir, prefix=".questions-") as place:
        try:
            received = receive(upload, Path(place), FIELD, FIELD)
            found = _merged(_rows(_table(received.path)))
        except DatasetError as error:
            raise refusal(error, FIELD) from error
    if not found:
        raise DatasetUnusable("There is no question in it.", where=FIELD)
    if len(found) > most:
        raise DatasetUnusable(
            f"{len(found)} questions; at most {most} are asked at once. Split the file.",
            where=FIELD,
            limit=most,
        )
    return found


def _table(path: Path) -> Table:
    sniffed = sniff(path)
    match sniffed.format:
        case "csv":
            table = open_csv(path, sniffed.encoding, lambda names: not _lacking(names))
        case "jsonl":
            table = open_jsonl(path, sniffed.encoding)
        case "json":
            table = open_json(path, sniffed.encoding)
        case other:
            raise DatasetError("no_dataset", f"Questions are CSV, JSON Lines or JSON, not {other}.")
    if lacking := _lacking(table.columns):
        names = ", ".join(table.columns[:SHOWN]) or "none"
        raise DatasetError(
            "header",
            f"No column {' and '.join(lacking)}. Questions have the columns question, document and page (or pages: "
            f"3, or 3-5, or 3;7); these are: {names}.",
        )
    return table


def _lacking(names: Sequence[str]) -> list[str]:
    there = {name_key(name) for name in names}
    lacking = [name for name in NEEDED if name not in there]
    return lacking if there & set(PAGES) else [*lacking, "page"]


def _rows(table: Table) -> Iterator[Asked]:
    bad: list[RowError] = []
    count = 0
    for row in table.rows:
        read = _row(row) if isinstance(row, TableRow) else row
        if isinstance(read, Asked):
            yield read
            continue
        count += 1
        if len(bad) < SHOWN:
            bad.append(read)
    if bad:
        first = bad[0]
        raise DatasetError(
            "rows",
            f"{count} rows are no questions. Row {first.row}, {first.column}: {first.reason}; {first.expected}.",
            bad,
            count,
        )


def _row(row: TableRow) -> Asked | RowError:
    cells = {name_key(name): value for name, value in row.cells.items()}
    for column, most in (("question", MAX_QUESTION_CHARACTERS), ("document", 300)):
        text = cells.get(column)
        if not isinstance(text, str) or not 0 < len(text.strip()) <= most:
            return RowError(row.number, column, "it is empty, too long or no text", "a text")
    column = next((one for one in PAGES if cells.get(one) not in (None, "", [])), PAGES[1])
    try:
        pages = _pages(cells.get(column))
    except NotPages:
        return RowError(
            row.number, column, "no numbers of pages", "3, or 3-5, or 3;7; the first page is 1"
        )
    document = str(cells["document"]).strip()
    return Asked(
        str(cells["question"]).strip(),
        tuple(Place(document, page) for page in pages),
        str(cells.get("proposed_by") or "").strip(),
    )


def _pages(given: Any) -> list[int]:
    """Of a cell: a number, a list of them, or a text with numbers and ranges."""
    values = given if isinstance(given, list) else re.split("[;,]", str(given))
    pages: list[int] = []
    for value in values:
        found = _RANGE.fullmatch(str(value).strip().removesuffix(".0"))
        if not found or isinstance(value, bool):
            raise NotPages
        first, last = int(found[1]), int(found[2] or found[1])
        pages.extend(range(first, last + 1)[: MOST_PAGES + 1])
        if not 1 <= first <= last or len(pages) > MOST_PAGES:
            raise NotPages
    return pages


def _merged(rows: Iterator[Asked]) -> list[Asked]:
    found: dict[str, Asked] = {}
    for row in rows:
        known = found.get(row.question)
        expected = dict.fromkeys([*(known.expected if known else ()), *row.expected])
        proposed_by = row.proposed_by if known is None else known.proposed_by and row.proposed_by
        found[row.question] = Asked(row.question, tuple(expected), proposed_by)
    return list(found.values())


def as_row(asked: Asked) -> Mapping[str, Any]:
    """As it is written down."""
    return {
        "question": asked.question,
        "expected": [{"document": one.document, "page": one.page} for one in asked.expected],
        "proposed_by": asked.proposed_by,
    }
