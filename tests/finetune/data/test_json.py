"""JSON Lines and JSON lists: read object by object, and refused with the row."""

import json
from pathlib import Path

import pytest

from finetune.data import jsonl
from finetune.data.rows import Chat, Text
from tests.finetune.data.files import CHAT, jsonl_of, read_to_the_end, refused, rows_of


def test_a_list_of_objects_is_read_whatever_its_spaces(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    rows = [{"messages": CHAT}] * 3
    for text in (json.dumps(rows), json.dumps(rows, indent=2), "\n [ " + json.dumps(rows)[1:]):
        path.write_text(text)
        assert rows_of(path) == [Chat(number, CHAT) for number in (1, 2, 3)]
        assert read_to_the_end(path).format == "JSON"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_encodings_with_a_byte_order_mark_are_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "data"
    path.write_text(json.dumps({"text": "Grüße 🐝"}, ensure_ascii=False) + "\n", encoding=encoding)
    assert rows_of(path) == [Text(1, "Grüße 🐝")]
    path.write_text(json.dumps([{"text": "Grüße 🐝"}], ensure_ascii=False), encoding=encoding)
    assert rows_of(path) == [Text(1, "Grüße 🐝")]


def test_an_object_may_lie_across_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonl, "PIECE_CHARACTERS", 7)
    path = tmp_path / "data.json"
    path.write_text(json.dumps([{"text": f"text {number}"} for number in range(50)], indent=1))
    assert [row.number for row in rows_of(path)] == list(range(1, 51))


def test_columns_are_those_of_all_of_the_first_objects(tmp_path: Path) -> None:
    path = jsonl_of(tmp_path, {"note": "x"}, {"text": "a"})
    [error] = refused(path).rows
    assert (error.row, error.column, error.reason) == (1, "text", "The cell is empty.")


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ('{"text": "a"}\n{"text": "b"\n', "rows", "row 2: The line is no JSON object"),
        ('{"text": "a"}\n["b"]\n', "rows", "row 2: It is a list, not an object"),
        ('{"text": "a", "text": "b"}\n', "rows", "'text' twice"),
        ('{"text": "a"}{"text": "b"}\n', "rows", "row 1"),
        ('{\n "text": "a"\n}\n', "header", "one object over several lines"),
        ('[{"text": "a"}, {"text": "b"', "rows", "row 2: The list cannot be read on"),
        ('[{"text": "a"}, {"text": }]', "rows", "row 2: The list cannot be read on"),
        ('[{"text": "a"}, "b"]', "rows", "row 2: It is a str, not an object"),
        ("[1, 2]", "rows", "row 1: It is a int, not an object"),
        ("[]", "empty", "no rows"),
        ('[{"text": ' + "[" * 100_000, "rows", "nested too deeply"),
        ('{"text": ' + "[" * 100_000 + "\n", "rows", "nested too deeply"),
        ('{"question": "a", "answer": "b"}\n', "header", "columns=question:prompt,answer:completion"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_row(
    tmp_path: Path, text: str, kind: str, says: str
) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(text)
    error = refused(path)
    assert error.kind == kind
    assert says in error.detail


def test_an_object_without_an_end_is_not_read_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonl, "MOST_CHARACTERS", 1000)
    path = tmp_path / "data.json"
    for text in ('[{"text": "' + "x" * 5_000_000, '{"text": "' + "x" * 5_000_000):
        path.write_text(text)
        assert "longer than 1,000 characters" in refused(path).detail
