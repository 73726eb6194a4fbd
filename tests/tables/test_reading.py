"""What an uploaded file becomes: columns of types that lose nothing, or a refusal that names row and column."""

import datetime
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pytest

from api.tables.reading_child import answered

GUESSED = (
    ("integer", ["1", "-2", "", "0"]),
    ("integer", ["9223372036854775807"]),
    ("text", ["9223372036854775808"]),
    ("text", ["1", "007"]),
    ("number", ["1", "2.5", "-.5", "1e-3"]),
    ("text", ["1.5", "12345678901234567"]),
    ("text", ["1,5"]),
    ("text", ["1", "n/a"]),
    ("boolean", ["true", "FALSE"]),
    ("text", ["true", "1"]),
    ("date", ["2026-02-28", ""]),
    ("text", ["2026-02-30"]),
    ("timestamp", ["2026-02-28", "2026-02-28T10:00:00Z"]),
    ("text", ["10:00"]),
    ("text", ["", ""]),
    ("text", ["NaN"]),
    ("number", ["0.30000000000000004", "-1.4142135623730951"]),
    ("text", ["3.14159265358979323846"]),
    ("text", ["1e999"]),
    ("text", ["+491701234567"]),
)


def read(folder: Path, content: bytes, **asked: Any) -> dict[str, Any]:
    (folder / "source").write_bytes(content)
    request = {"source": str(folder / "source"), "target": str(folder / "table.parquet")}
    return answered({**request, "types": {}, "sheet": None, "most_rows": 100, **asked})


def types(answer: Mapping[str, Any]) -> dict[str, str]:
    return {one["name"]: one["type"] for one in answer["columns"]}


def cells(folder: Path) -> list[tuple[Any, ...]]:
    return duckdb.connect().execute(f"SELECT * FROM '{folder / 'table.parquet'}'").fetchall()


def test_types_are_found_out_where_nothing_is_lost(tmp_path: Path) -> None:
    longest = max(len(column) for _, column in GUESSED)
    rows = [[*column, *[""] * (longest - len(column))] for _, column in GUESSED]
    lines = [";".join(f"c{n}" for n in range(len(rows))), *map(";".join, zip(*rows, strict=True))]
    answer = read(tmp_path, "\n".join(lines).encode())
    found = list(types(answer).values())
    assert found == [type for type, _ in GUESSED]
    first = cells(tmp_path)[0]
    assert first[1:4] == (9223372036854775807, "9223372036854775808", "1")
    assert cells(tmp_path)[1][12] == datetime.datetime(2026, 2, 28, 10)
    assert (answer["rows"], answer["format"]) == (4, "CSV (semicolon)")


def test_a_time_with_a_zone_is_kept_as_it_is_in_utc(tmp_path: Path) -> None:
    read(tmp_path, b"at,n\n2026-01-02T10:00:00+02:00,1\n2026-01-02 10:00,2\n")
    assert [row[0].hour for row in cells(tmp_path)] == [8, 10]


def test_values_of_json_keep_what_they_are(tmp_path: Path) -> None:
    rows = [
        {"a": 1, "zip": "7", "deep": {"x": [1]}, "ok": True, "quote": 'say "\n\u2028é'},
        {"a": None, "zip": "", "late": 1.5},
    ]
    answer = read(tmp_path, "\n".join(map(json.dumps, rows)).encode())
    assert types(answer) == {
        "a": "integer",
        "zip": "text",
        "deep": "text",
        "ok": "boolean",
        "quote": "text",
        "late": "number",
    }
    assert cells(tmp_path) == [
        (1, "7", '{"x": [1]}', True, 'say "\n\u2028é', None),
        (None, "", None, None, None, 1.5),
    ]


def test_types_that_are_wanted_win(tmp_path: Path) -> None:
    answer = read(tmp_path, b"zip,n\n007,1\n8,2\n", types={"zip": "integer", "n": "text"})
    assert types(answer) == {"zip": "integer", "n": "text"}
    assert cells(tmp_path) == [(7, "1"), (8, "2")]


BAD: tuple[tuple[bytes, dict[str, str], str, list[tuple[int, str]]], ...] = (
    (b"id,x\n1,a\n2,5\n3,b\n", {"x": "integer"}, "'a' is no integer", [(1, "x"), (3, "x")]),
    (b"id,x\n1,2.0\n2,2.5\n", {"x": "integer"}, "'2.5' is no integer", [(2, "x")]),
    (b"id,x\n1,a\n2\n", {}, "The row has 1 cells, the header 2", [(2, "id")]),
    (b'id,x\n1,"a\n', {}, "never closed", [(1, "id")]),
    (b"id,\n1,a\n", {}, "stands under no name", [(1, "")]),
    (b"id,ID\n1,a\n", {}, "names the column 'id' 2 times", []),
    (b'{"a": 1}\n[2]\n', {}, "It is a list, not an object", [(2, "")]),
    (b'{"a": "x\\u0000"}\n', {}, "holds NUL", [(1, "a")]),
    (b'{"a": "x\\ud800"}\n', {}, "half a surrogate", [(1, "a")]),
    (b'{"a": 1, "A": 2}\n', {}, "differ in case alone", [(1, "A")]),
    (b"a\n" + b"1\n" * 101, {}, "More than 100 rows", []),
    (",".join(f"c{n}" for n in range(1001)).encode() + b"\n", {}, "More than 1000 columns", []),
    (b"id,x\n1,a\n", {"y": "text"}, "no column 'y'. Columns: 'id', 'x'", []),
    (b"id,x\n1,a\n", {"x": "money"}, "no type. Types: text, integer", []),
    (b"\n", {}, "The file is empty", []),
    (b"%PDF-1.7", {}, "The file is a PDF. Send CSV, JSON Lines, JSON, Parquet or XLSX", []),
    (b"PAR1 and nothing", {}, "cannot be read", []),
    (b"PK\3\4 and nothing", {}, "The workbook cannot be read: ", []),
)


@pytest.mark.parametrize(("content", "wanted", "detail", "rows"), BAD)
def test_what_is_wrong_is_told_with_row_and_column(
    tmp_path: Path, content: bytes, wanted: dict[str, str], detail: str, rows: list[tuple[int, str]]
) -> None:
    answer = read(tmp_path, content, types=wanted)
    assert detail in answer["detail"]
    assert [(one["row"], one["column"]) for one in answer.get("errors", [])] == rows
    assert answer["where"] == ("types" if not rows and wanted else "file")


def test_a_sheet_is_read_by_its_name_or_the_first_one(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.title = "Prices"
    book.active.append([])
    book.active.append(["id", "day", "at", "note", None])
    moment = datetime.datetime(2026, 1, 2, 5, 6)
    book.active.append([1, datetime.datetime(2026, 1, 2), moment, "=A1"])
    book.active.append([2.5, None, datetime.datetime(2026, 1, 3), "x"])
    book.create_sheet("More").append(["q"])
    file = io.BytesIO()
    book.save(file)
    answer = read(tmp_path, file.getvalue())
    assert types(answer) == {"id": "number", "day": "date", "at": "timestamp", "note": "text"}
    assert cells(tmp_path)[0] == (1.0, datetime.date(2026, 1, 2), moment, None)
    assert types(read(tmp_path, file.getvalue(), sheet="More")) == {"q": "text"}
    wrong = read(tmp_path, file.getvalue(), sheet="Les")
    assert "Sheets: 'Prices', 'More'" in wrong["detail"]


def test_parquet_keeps_its_types_and_what_has_no_like_becomes_a_text(tmp_path: Path) -> None:
    select = "SELECT 1::UTINYINT a, [1, 2] l, {'x': 1} s, 1.5::DECIMAL(5, 2) d, 'x'::BLOB b, 'no' y"
    path = tmp_path / "given.parquet"
    duckdb.connect().execute(f"COPY ({select}) TO '{path}' (FORMAT parquet)")
    answer = read(tmp_path, path.read_bytes())
    assert list(types(answer).values()) == ["integer", "text", "text", "number", "text", "text"]
    assert cells(tmp_path) == [(1, "[1,2]", '{"x":1}', 1.5, "eA==", "no")]
    wrong = read(tmp_path, path.read_bytes(), types={"y": "integer"})
    assert (wrong["where"], "'no'" in wrong["detail"]) == ("types", True)
    rounded = read(tmp_path, path.read_bytes(), types={"d": "integer"})
    assert (rounded["where"], rounded["detail"]) == (
        "types",
        "Column 'd' holds 1.50, which is no integer.",
    )


def test_first_rows_are_json_that_everybody_reads_alike(tmp_path: Path) -> None:
    select = "SELECT 'nan'::DOUBLE n, 'inf'::DOUBLE i, 9007199254740993 b, true t"
    path = tmp_path / "given.parquet"
    duckdb.connect().execute(f"COPY ({select}) TO '{path}' (FORMAT parquet)")
    answer = read(tmp_path, path.read_bytes())
    assert answer["first_rows"] == [{"n": None, "i": None, "b": "9007199254740993", "t": True}]


def test_decimals_of_parquet_keep_their_digits(tmp_path: Path) -> None:
    wide = "12345678901234567890.123456789"
    select = f"SELECT 1.50::DECIMAL(18, 2) AS price, {wide}::DECIMAL(38, 9) AS wide"
    answer = read(tmp_path, parquet(tmp_path, select))
    assert types(answer) == {"price": "number", "wide": "text"}
    assert cells(tmp_path) == [(1.5, wide)]


def test_what_is_wrong_with_parquet_is_told_without_its_place(tmp_path: Path) -> None:
    told = read(tmp_path, b"PAR1" + b"x" * 100 + b"PAR1")
    assert told["refused"] == "no_dataset"
    assert str(tmp_path) not in told["detail"]
    told = read(tmp_path, parquet(tmp_path, 'SELECT 1 AS "a\nb"'))
    assert "of one line" in told["detail"]


def parquet(folder: Path, select: str) -> bytes:
    """A file with what a SELECT gives."""
    path = folder / "made.parquet"
    duckdb.connect().execute(f"COPY ({select}) TO '{path}' (FORMAT parquet)")
    return path.read_bytes()
