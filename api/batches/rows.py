"""The rows of an input file: looked at once before any is asked, and read one by one."""

import json
from collections.abc import Collection, Generator, Iterator
from pathlib import Path
from typing import Any

from api.batches.values import Endpoint, Fault, Row

MOST_ROWS = 50_000
MOST_CUSTOM_ID_CHARACTERS = 512
MOST_LINE_BYTES = 32 * 2**20
"""More than the longest body that a route takes."""
MOST_MARKS = 1_000_000
"""Commas and brackets of a line: what could be made of more would fill the memory."""
FAULTS_TOLD = 50


class _Wrong(Exception):
    """A line that is no row."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.param = code, message, param


def check(
    path: Path, endpoint: Endpoint, *, most_rows: int = MOST_ROWS
) -> tuple[int, tuple[Fault, ...]]:
    """How many rows there are, and what is wrong with the file; blocking."""
    seen: set[str] = set()
    faults: list[Fault] = []
    count = 0
    for line, text in _lines(path):
        count += 1
        try:
            if count > most_rows:
                raise _Wrong("too_many_tasks", f"A batch may have {most_rows} rows: make several.")
            _require_new(_parsed(text, endpoint).custom_id, seen)
        except _Wrong as wrong:
            faults.append(Fault(wrong.code, wrong.message, wrong.param, line))
            if wrong.code == "too_many_tasks" or len(faults) == FAULTS_TOLD:
                break
    if not count:
        faults.append(Fault("empty_batch", "The file has no rows; at least 1 is needed."))
    return count, tuple(faults)


def read(path: Path, endpoint: Endpoint, done: Collection[str]) -> Generator[Row, None, None]:
    """The rows that are not done, of a file that was found right; blocking."""
    for _, text in _lines(path):
        row = _parsed(text, endpoint)
        if row.custom_id not in done:
            yield row


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers; of one that is too long the beginning, as the last one."""
    with path.open("rb") as file:
        number = 0
        while text := file.readline(MOST_LINE_BYTES + 1):
            number += 1
            if text.strip():
                yield number, text
            if len(text) > MOST_LINE_BYTES:
                return


def _parsed(text: bytes, endpoint: Endpoint) -> Row:
    if len(text) > MOST_LINE_BYTES:
        raise _Wrong("invalid_request", f"The line is longer than {MOST_LINE_BYTES} bytes.")
    if sum(map(text.count, b",[{")) > MOST_MARKS:
        raise _Wrong("invalid_request", "The line has too many values.")
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        raise _Wrong("invalid_json_line", "The line is not JSON in UTF-8.") from None
    if not isinstance(row, dict):
        raise _Wrong("invalid_json_line", "The line must be a JSON object.")
    custom_id, body = row.get("custom_id"), row.get("body")
    if not isinstance(custom_id, str) or not 1 <= len(custom_id) <= MOST_CUSTOM_ID_CHARACTERS:
        most = MOST_CUSTOM_ID_CHARACTERS
        raise _Wrong("invalid_request", f"A text of 1 to {most} characters is needed.", "custom_id")
    if row.get("method") != "POST":
        raise _Wrong("invalid_request", "`POST` is needed.", "method")
    if row.get("url") != endpoint:
        raise _Wrong("url_mismatch", f"The batch's endpoint is needed: {endpoint!r}.", "url")
    return Row(custom_id, _body(body))


def _body(body: Any) -> bytes:
    if not isinstance(body, dict):
        raise _Wrong("invalid_request", "A JSON object is needed.", "body")
    if body.get("stream"):
        raise _Wrong("invalid_request", "An answer of a batch is not streamed.", "body.stream")
    return json.dumps(body).encode()


def _require_new(custom_id: str, seen: set[str]) -> None:
    if custom_id in seen:
        raise _Wrong("duplicate_custom_id", "An earlier line has this one.", "custom_id")
    seen.add(custom_id)
