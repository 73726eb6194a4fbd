"""What is wrong with an input file is told by line; what is right is read row by row."""

import json
from pathlib import Path
from typing import Any

import pytest

from api.batches import rows
from api.batches.values import Endpoint, Row

URL: Endpoint = "/v1/embeddings"
GOOD: dict[str, Any] = {"custom_id": "a", "method": "POST", "url": URL, "body": {"input": "x"}}


def written(path: Path, *lines: Any) -> Path:
    """A file of these lines; bytes stand as they are."""
    texts = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in lines]
    path.write_bytes(b"\n".join(texts))
    return path


@pytest.mark.parametrize(
    ("line", "code", "param"),
    [
        (b"{", "invalid_json_line", None),
        (b"\xff", "invalid_json_line", None),
        (b"[" * 100_000, "invalid_json_line", None),
        (b"[1]", "invalid_json_line", None),
        (b"[" + b"{}," * 600_000 + b"1]", "invalid_request", None),
        (GOOD, "duplicate_custom_id", "custom_id"),
        ({**GOOD, "custom_id": 7}, "invalid_request", "custom_id"),
        ({**GOOD, "custom_id": ""}, "invalid_request", "custom_id"),
        ({**GOOD, "custom_id": "x" * 513}, "invalid_request", "custom_id"),
        ({**GOOD, "custom_id": "b", "method": "GET"}, "invalid_request", "method"),
        ({**GOOD, "custom_id": "b", "url": "/v1/completions"}, "url_mismatch", "url"),
        ({**GOOD, "custom_id": "b", "body": []}, "invalid_request", "body"),
        ({**GOOD, "custom_id": "b", "body": {"stream": True}}, "invalid_request", "body.stream"),
    ],
)
def test_a_line_that_is_no_row_is_named(
    tmp_path: Path, line: Any, code: str, param: str | None
) -> None:
    path = written(tmp_path / "rows.jsonl", GOOD, b"", line, {**GOOD, "custom_id": "last"})
    count, faults = rows.check(path, URL)
    assert count == 3
    assert [(one.code, one.param, one.line) for one in faults] == [(code, param, 3)]


def test_of_many_faults_some_are_told(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", *[GOOD] * 200)
    _, faults = rows.check(path, URL)
    assert [one.line for one in faults] == list(range(2, 2 + rows.FAULTS_TOLD))


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_a_file_without_rows_is_none(tmp_path: Path, content: bytes) -> None:
    path = written(tmp_path / "rows.jsonl", content)
    count, faults = rows.check(path, URL)
    assert (count, [one.code for one in faults]) == (0, ["empty_batch"])


def test_more_rows_than_a_batch_may_have_are_refused_once(tmp_path: Path) -> None:
    many = ({**GOOD, "custom_id": str(n)} for n in range(9))
    path = written(tmp_path / "rows.jsonl", *many)
    _, faults = rows.check(path, URL, most_rows=3)
    assert [(one.code, one.line) for one in faults] == [("too_many_tasks", 4)]


def test_a_line_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", b'"' + b"x" * (rows.MOST_LINE_BYTES + 100))
    _, faults = rows.check(path, URL)
    assert [(one.code, one.line) for one in faults] == [("invalid_request", 1)]


def test_rows_that_are_done_are_left_out(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", *({**GOOD, "custom_id": one} for one in "abc"))
    assert list(rows.read(path, URL, {"b"})) == [
        Row("a", b'{"input": "x"}'),
        Row("c", b'{"input": "x"}'),
    ]
