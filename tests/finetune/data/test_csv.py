"""What a training CSV may look like, and what is refused with row, column and reason."""

import csv
import json
import pickle
import zipfile
from io import BytesIO, StringIO
from pathlib import Path

import pytest

from finetune.data.rows import Chat, Conversation
from tests.finetune.data.files import read_to_the_end, refused, rows_of

TURNS: Conversation = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
OTHER: Conversation = [{"role": "user", "content": "A"}, {"role": "assistant", "content": "B"}]


def written(path: Path, cells: list[str], delimiter: str = ",", end: str = "\n") -> str:
    text = StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    writer.writerows([["messages"], *([cell] for cell in cells)])
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    return text.getvalue()


def read(path: Path) -> list[Conversation]:
    return [row.messages for row in rows_of(path) if isinstance(row, Chat)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "train.csv"


GOOD = json.dumps(TURNS)


@pytest.mark.parametrize("spell", [json.dumps, repr], ids=["json", "python literal"])
def test_both_spellings_of_a_list_are_read(file: Path, spell: object) -> None:
    written(file, [spell(TURNS), spell(OTHER)])  # type: ignore[operator]
    assert read(file) == [TURNS, OTHER]


@pytest.mark.parametrize(
    "encode",
    [
        pytest.param(lambda text: b"\xef\xbb\xbf" + text.encode(), id="UTF-8 with BOM"),
        pytest.param(lambda text: text.encode("utf-16"), id="UTF-16 with BOM"),
        pytest.param(
            lambda text: b"\xfe\xff" + text.encode("utf-16-be"), id="big-endian UTF-16 with BOM"
        ),
        pytest.param(lambda text: text.replace("\n", "\r\n").encode(), id="CRLF"),
        pytest.param(lambda text: text.replace("\n", "\n\n").encode(), id="blank lines"),
        pytest.param(lambda text: text.replace("\n", "\n  \n").encode(), id="lines of spaces"),
        pytest.param(lambda text: b"\n\n" + text.encode(), id="blank lines first"),
        pytest.param(lambda text: text.rstrip("\n").encode(), id="no newline at the end"),
    ],
)
def test_usual_encodings_and_line_ends_are_read(file: Path, encode: object) -> None:
    text = written(file, [GOOD, json.dumps(OTHER)])
    file.write_bytes(encode(text))  # type: ignore[operator]
    assert read(file) == [TURNS, OTHER]


@pytest.mark.parametrize("header", ["Messages", " messages ", "MESSAGES"])
def test_case_and_spaces_in_a_header_do_not_matter(file: Path, header: str) -> None:
    text = written(file, [GOOD, GOOD])
    file.write_text(text.replace("messages", header))
    assert read(file) == [TURNS, TURNS]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_other_columns_and_delimiters_are_taken(file: Path, delimiter: str) -> None:
    text = StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerows([["id", "messages"], ["1", GOOD], ["2", repr(OTHER)]])
    file.write_text(text.getvalue(), newline="")
    assert read(file) == [TURNS, OTHER]
    file.write_text(f"sep={delimiter}\n{text.getvalue()}", newline="")
    assert read(file) == [TURNS, OTHER]


@pytest.mark.parametrize(
    "content",
    [
        "line\nbreak \r\n and \u2028 separators \u2029 \x85 \x0b \x0c",
        "<|im_start|> {{ x }} {y} %s \\n",
        "  spaces around  ",
        "\u202eright to left, zero\u200bwidth, \U0001f999",
        'quotes " and "" and \'',
        "NUL \x00 inside",
    ],
)
def test_strings_come_through_unchanged(file: Path, content: str) -> None:
    turns = [{"role": "user", "content": content}, {"role": "assistant", "content": content}]
    written(file, [json.dumps(turns, ensure_ascii=False), repr(turns), json.dumps(turns)])
    assert read(file) == [turns] * 3


def test_quoted_newlines_do_not_shift_row_numbers(file: Path) -> None:
    pretty = json.dumps(TURNS, indent=2)
    written(file, [pretty, pretty, "oops"])
    assert [row.row for row in refused(file).rows] == [3]


def zipped() -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("sheet.xml", "<a/>")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"%PDF-1.7\n%\xe2\xe3\n1 0 obj", id="PDF"),
        pytest.param(b"<!DOCTYPE html><html><body>502</body></html>", id="HTML"),
        pytest.param(b'<?xml version="1.0"?><a/>', id="XML"),
        pytest.param(zipped(), id="ZIP or XLSX"),
        pytest.param(b"\x1f\x8b\x08\x00abc", id="gzip"),
        pytest.param(pickle.dumps([TURNS]), id="pickle"),
        pytest.param(b"\x89PNG\r\n\x1a\n", id="PNG"),
        pytest.param(bytes(range(256)) * 8, id="binary"),
        pytest.param(b"\x01\x02\x03\x04messages", id="controls"),
        pytest.param(b"PAR1\x15\x04\x15", id="cut Parquet"),
        pytest.param(b"version https://git-lfs.github.com/spec/v1\n", id="Git LFS pointer"),
    ],
)
def test_what_is_no_table_is_a_kind_of_its_own(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    assert refused(file).kind == "no_dataset"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(f'messages\n"{GOOD}"'.encode("utf-16-le"), id="UTF-16 without BOM"),
        pytest.param(f"messages\n{GOOD}".encode("utf-32"), id="UTF-32"),
        pytest.param("messages\n\u00dcber die Stra\u00dfe".encode("latin-1"), id="Latin-1"),
        pytest.param(("messages\n" + "\n" * 10_000).encode() + b"\xff", id="late bad byte"),
        pytest.param(b"\xff\xfe" + "messages\n".encode("utf-16-le") + b"\x00", id="half UTF-16"),
        pytest.param(b"\xff\xfe" + b"\x00\xd8" * 3, id="surrogates"),
    ],
)
def test_other_encodings_are_refused_and_never_read_as_garbage(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    assert refused(file).kind == "encoding"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("messages,messages\nx,y\n", "2 times"),
        ("question,answer\na,b\n", "columns=question:prompt,answer:completion"),
        ("id;note\na;b\n", "'id', 'note'"),
        (f'"{GOOD}"\n'.replace('""', '"'), "cannot be read as names"),
    ],
)
def test_a_wrong_header_says_what_it_found(file: Path, data: str, says: str) -> None:
    file.write_text(data)
    error = refused(file)
    assert (error.kind, says in error.detail) == ("header", True), error.detail


@pytest.mark.parametrize("data", [b"", b"\n \n", b"\xef\xbb\xbf", b"messages\n", b"messages"])
def test_an_empty_file_is_refused(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    assert refused(file).kind == "empty"


def test_one_row_is_not_enough(file: Path) -> None:
    written(file, [GOOD])
    assert refused(file, at_least=2).detail == "The file has 1 row; at least 2 are needed."
    assert read_to_the_end(file).counts == {"train": 1}


def turns(*pairs: tuple[object, object]) -> str:
    return json.dumps([{"role": role, "content": content} for role, content in pairs])


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("hello", "neither JSON"),
        ("[{'role': 'user'", "neither JSON"),
        ("__import__('os').system('true')", "neither JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("(" * 5_000, "nested too deeply"),
        ("{}", "a dict, not a list"),
        ("b'bytes'", "'b' is no value"),
        ("{1, 2}", "neither JSON"),
        ("[]", "list is empty"),
        ("[1]", "Turn 1 is a int"),
        ('[{"role": "user"}]', "no 'content'"),
        ('[{"content": "x"}]', "no 'role'"),
        (turns(("user", 7)), "content of turn 1 is a int"),
        (turns(("user", None)), "no 'content'"),
        (turns(("user", "a"), ("robot", "b")), "unknown role 'robot'"),
        (turns(("User", "a"), ("assistant", "b")), "unknown role 'User'"),
        (turns(("user", "a"), ("assistant", " ")), "content of turn 2 is empty"),
        (turns(("user", "a")), "no assistant turn"),
        (turns(("user", "a"), ("system", "b"), ("assistant", "c")), "Turn 2 is a system turn"),
        (turns(("assistant", "a")), "answers nothing"),
        (turns(("assistant", "a"), ("user", "b")), "answers nothing"),
        ('[{"role": "user", "content": "a", "colour": "x"}]', "unknown key 'colour'"),
        ('[{"role": "user", "role": "user", "content": "a"}]', "'role' twice"),
        (turns(("user", "\ud800"), ("assistant", "b")), "surrogate"),
        ("['\\ud800']", "Turn 1 is a str"),
    ],
)
def test_a_bad_cell_is_named_with_row_column_and_reason(file: Path, cell: str, reason: str) -> None:
    written(file, [GOOD, cell])
    error = refused(file)
    assert error.kind == "rows"
    assert [(row.row, row.column) for row in error.rows] == [(2, "messages")]
    assert reason in error.rows[0].reason
    assert error.rows[0].expected


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (f"id,messages\n1,{json.dumps(GOOD)[1:-1]}\n", "cells"),
        ('messages\n"[1, 2\n', "never closed"),
        ('messages\n"a"b\n', "expected after"),
        ('messages\n""\n', "cell is empty"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(file: Path, data: str, reason: str) -> None:
    file.write_text(data)
    error = refused(file)
    assert (error.kind, error.rows[0].row) == ("rows", 1)
    assert reason in error.rows[0].reason


def test_the_first_twenty_bad_rows_are_listed_and_all_are_counted(file: Path) -> None:
    written(file, [GOOD, *(["bad"] * 30)])
    error = refused(file)
    assert [row.row for row in error.rows] == list(range(2, 22))
    assert error.count == 30
    assert "30 bad rows" in error.detail


def test_too_many_rows_are_refused(file: Path) -> None:
    written(file, [GOOD] * 4)
    assert refused(file, at_most=3).kind == "too_many"
