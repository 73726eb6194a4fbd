"""Cells as pandas and the datasets library write lists of turns, and cells that no reader should run."""

import csv
import json
from io import StringIO
from pathlib import Path
from typing import Any

import datasets
import numpy
import pandas
import pytest

from finetune.data.cells import Unreadable, read_cell
from finetune.data.rows import Chat
from tests.finetune.data.files import ANSWER, CHAT, QUESTION, csv_of, read_to_the_end, refused, rows_of

HARD = 'It\'s "dark",\n\'almost black\'. \\ 🐝 [1]'
TURNS = [{"role": "user", "content": HARD}, {"role": "assistant", "content": HARD}]
PARTS = [
    {"role": "user", "content": [{"type": "text", "text": HARD}]},
    {"role": "assistant", "content": [{"type": "text", "text": HARD}]},
]


@pytest.mark.parametrize("turns", [TURNS, PARTS], ids=["texts", "parts"])
def test_what_the_datasets_library_writes_to_csv_is_read(tmp_path: Path, turns: Any) -> None:
    path = tmp_path / "data.csv"
    datasets.Dataset.from_dict({"messages": [turns, turns]}).to_csv(path)
    assert rows_of(path) == [Chat(1, TURNS), Chat(2, TURNS)]


def test_what_pandas_writes_of_a_parquet_file_to_csv_is_read(tmp_path: Path) -> None:
    table = pandas.DataFrame({"messages": [PARTS, PARTS], "note": [None, "x"]})
    table.to_parquet(tmp_path / "data.parquet")
    table = pandas.read_parquet(tmp_path / "data.parquet")  # numpy arrays of dicts, of arrays
    assert isinstance(table["messages"][0], numpy.ndarray)
    table.to_csv(tmp_path / "data.csv")
    assert rows_of(tmp_path / "data.csv") == [Chat(1, TURNS), Chat(2, TURNS)]


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("[{'a': 'b'}\n {'a': 'c'}]", [{"a": "b"}, {"a": "c"}]),
        ("['a' 'b']", ["a", "b"]),
        ("['a', 'b',]", ["a", "b"]),
        ("('a', None, True, nan)", ["a", None, True, None]),
        ("array([list(['x']), {'y': array([], dtype=object)}], dtype=object)", [["x"], {"y": []}]),
        ("[np.str_('x') np.int64(3) np.float64(-1.5e3)]", ["x", 3, -1500.0]),
        ('["x", NaN, 1e3]', ["x", None, 1000.0]),
        (r"'\u00fc\x41\'\n'", "\u00fcA'\n"),
    ],
)
def test_both_ways_of_writing_a_list_are_read(cell: str, value: object) -> None:
    assert read_cell(cell) == value


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("__import__('os').system('true')", "'__import__' is no value"),
        ("[{'a': open('/etc/passwd')}]", "'open' is no value"),
        ("'a' * 10**9", "behind the value"),
        ("[" * 10**6, "too deeply"),
        ("{'a': 1, 'a': 2}", "'a' twice"),
        ("array([1, 2], dtype=object, evil=exit())", "cannot be read"),
        ("[{'a': 'b'} ... {'a': 'c'}]", "numpy has left items out"),
        ("[{'a': 'b'}", "before its ']'"),
        ("['never closed]", "never closed"),
        ("[1" + "0" * 5000 + "]", "no number"),
        (r"'\N{no such name}'", "broken escape"),
        ("[1, Infinity]", "Infinity is no number"),
    ],
)
def test_what_is_no_value_is_refused_and_nothing_is_run(cell: str, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason.replace("[", r"\[").replace("]", r"\]")):
        read_cell(cell)


def test_a_cell_that_a_spreadsheet_has_cut_is_named_as_such(tmp_path: Path) -> None:
    long = json.dumps([CHAT[0], {"role": "assistant", "content": "x" * 40_000}])
    path = csv_of(tmp_path, ["messages"], [json.dumps(CHAT)], [long[:32_767]])
    [error] = refused(path).rows
    assert error.row == 2
    assert "32,767 characters, where spreadsheets cut" in error.reason
    path = csv_of(tmp_path, ["messages"], [json.dumps(CHAT)], [long[:32_000]])
    assert "spreadsheets" not in refused(path).rows[0].reason


@pytest.mark.parametrize("text", ["x" * 32_767, "🐝" * 16_383 + "x"])
def test_a_text_of_just_that_length_is_told(tmp_path: Path, text: str) -> None:
    path = csv_of(tmp_path, ["prompt", "completion"], [QUESTION, ANSWER], [QUESTION, text])
    assert read_to_the_end(path).cut == [2]


def test_a_csv_with_semicolons_as_spreadsheets_of_many_countries_write_it(tmp_path: Path) -> None:
    text = StringIO()
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerows([["Prompt", "Completion"], [QUESTION, ANSWER], ["a;b", 'c "d"\r\ne']])
    path = tmp_path / "data.csv"
    path.write_bytes(b"\xef\xbb\xbf" + text.getvalue().encode())
    first, second = rows_of(path)
    assert first == Chat(1, CHAT)
    assert isinstance(second, Chat)
    assert [turn["content"] for turn in second.messages] == ["a;b", 'c "d"\r\ne']
