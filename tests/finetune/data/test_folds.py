"""How rows come apart into what is learned, what judges checkpoints and what judges the result."""

from pathlib import Path

import pytest

from finetune.data.folds import held_out, held_out_rows, path_of, split, write_folds
from finetune.data.rows import FOLDS, Chat, Conversation, Fold, Row, Text, read_rows
from tests.finetune.conftest import question_rows

ANSWERED: Conversation = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Ho"},
]


def chats(conversations: list[Conversation]) -> list[Row]:
    return [Chat(number, turns) for number, turns in enumerate(conversations, 1)]


def texts(count: int) -> list[Row]:
    return [Text(number, f"text {number}") for number in range(1, count + 1)]


def dealt(folder: Path, rows: list[Row], seed: int = 42) -> dict[Fold, list[Row]]:
    folder.mkdir(exist_ok=True)
    counts = split(rows, folder, seed)
    found = {fold: list(read_rows(path_of(folder, fold))) for fold in FOLDS}
    assert counts == {fold: len(rows) for fold, rows in found.items()}
    return found


def test_a_share_is_held_out_the_same_each_time(tmp_path: Path) -> None:
    rows = chats(question_rows())
    found = dealt(tmp_path, rows)
    assert {fold: len(found[fold]) for fold in FOLDS} == {"train": 38, "eval": 2, "test": 0}
    assert sorted([*found["train"], *found["eval"]], key=lambda row: row.number) == rows
    assert dealt(tmp_path, rows) == found
    assert dealt(tmp_path, rows, seed=43) != found


def test_of_a_hundred_rows_or_more_some_are_held_out_for_the_end_too(tmp_path: Path) -> None:
    found = dealt(tmp_path, texts(200))
    assert {fold: len(found[fold]) for fold in FOLDS} == {"train": 180, "eval": 10, "test": 10}
    assert len({row.number for rows in found.values() for row in rows}) == 200
    assert [path.name for path in tmp_path.iterdir() if path.stem == "whole"] == []


@pytest.mark.parametrize(
    ("rows", "eval_rows", "test_rows"),
    [(9, 0, 0), (10, 1, 0), (99, 5, 0), (100, 5, 5), (1_000, 50, 50), (10**6, 50, 50)],
)
def test_few_rows_are_all_trained_on(rows: int, eval_rows: int, test_rows: int) -> None:
    assert held_out({"train": rows}, rows) == {"eval": eval_rows, "test": test_rows}
    assert held_out({"train": rows, "eval": 1}, rows)["eval"] == 0
    assert held_out({"train": rows, "test": 1}, rows)["test"] == 0
    assert held_out_rows(rows) == eval_rows


def test_rows_that_repeat_stay_in_training(tmp_path: Path) -> None:
    found = dealt(tmp_path, chats([ANSWERED] * 90 + question_rows()[:10]))
    assert (len(found["eval"]), len(found["test"])) == (5, 5)
    assert all(
        isinstance(row, Chat) and row.messages != ANSWERED
        for row in [*found["eval"], *found["test"]]
    )
    found = dealt(tmp_path, chats([ANSWERED] * 97 + question_rows()[:3]))
    assert (len(found["eval"]), len(found["test"]), len(found["train"])) == (3, 0, 97)
    assert len(dealt(tmp_path, chats([ANSWERED] * 40))["train"]) == 40


def test_what_is_given_is_not_split_off(tmp_path: Path) -> None:
    counts = split(texts(150), tmp_path, 42, given={"eval"})
    assert counts == {"train": 142, "test": 8}
    assert not path_of(tmp_path, "eval").exists()


def test_the_rows_of_each_fold_come_into_a_file_of_their_own(tmp_path: Path) -> None:
    first, second, third = texts(3)
    paths = {fold: path_of(tmp_path, fold) for fold in FOLDS}
    rows: list[tuple[Fold, Row]] = [("test", first), ("train", second), ("test", third)]
    written = write_folds(rows, paths)
    assert (written.counts, written.once) == ({"train": 1, "test": 2}, 1)
    assert list(read_rows(paths["test"])) == [first, third]
    assert not paths["eval"].exists()
