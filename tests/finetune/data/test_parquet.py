"""Parquet: read in a process of its own, which a broken file ends without us."""

from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from finetune.data import parquet as reader
from finetune.data.rows import Chat, Preference
from finetune.job.child_process import Limits
from tests.finetune.data.files import CHAT, read_to_the_end, refused, rows_of


def written(folder: Path, rows: list[dict[str, Any]], **options: Any) -> Path:
    path = folder / "data.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(rows), path, **options)
    return path


def test_lists_of_turns_are_read_as_they_are(tmp_path: Path) -> None:
    path = written(tmp_path, [{"messages": CHAT, "price": 1.5}] * 3)
    assert rows_of(path) == [Chat(number, CHAT) for number in (1, 2, 3)]
    assert read_to_the_end(path).describe() == {
        "format": "Parquet",
        "form": "messages",
        "kind": "chat",
        "columns": {"messages": "messages"},
        "ignored_columns": ["price"],
    }


def test_members_that_only_other_turns_have_were_never_there(tmp_path: Path) -> None:
    call = {"type": "function", "function": {"name": "price", "arguments": "{}"}}
    turns = [
        CHAT[0],
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "37"},
        CHAT[1],
    ]
    [row] = rows_of(written(tmp_path, [{"messages": turns}]))
    assert isinstance(row, Chat)
    assert [sorted(turn) for turn in row.messages] == [
        ["content", "role"],
        ["content", "role", "tool_calls"],
        ["content", "role", "tool_call_id"],
        ["content", "role"],
    ]


def test_preferences_of_many_row_groups_are_read(tmp_path: Path) -> None:
    worse = [CHAT[0], {"role": "assistant", "content": "No."}]
    path = written(tmp_path, [{"chosen": CHAT, "rejected": worse}] * 2500, row_group_size=100)
    rows = rows_of(path)
    assert len(rows) == 2500
    assert rows[-1] == Preference(2500, CHAT[:1], CHAT[1:], worse[1:])


def test_a_damaged_file_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = written(tmp_path, [{"messages": CHAT}] * 500)
    whole = path.read_bytes()
    for content, says in (
        (whole[: len(whole) // 2], "footer"),
        (whole[:100] + b"\xff" * 50 + whole[150:], "cannot be read"),
        (b"PAR1" + b"\0" * 100 + b"PAR1", "cannot be read"),
    ):
        path.write_bytes(content)
        error = refused(path)
        assert error.kind == "no_dataset"
        assert says in error.detail


def test_a_reader_that_needs_too_much_ends_and_we_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "LIMITS", Limits(100 * 2**20, 60, 60))
    error = refused(written(tmp_path, [{"messages": CHAT}]))
    assert "broke down" in error.detail


def test_without_pyarrow_it_is_said_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, [{"messages": CHAT}])
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    error = refused(path)
    assert error.kind == "no_reader"
    assert reader.INSTALL in error.detail
