"""Dataset files as people's tools write them."""

import csv
import json
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from finetune.data.errors import DatasetError
from finetune.data.mapping import Kind, Wish
from finetune.data.reading import Reading, open_dataset
from finetune.data.rows import Conversation, Row

QUESTION = "What does a visiting boat pay?"
ANSWER = "A visiting boat pays 37 euros a night."
CHAT: Conversation = [
    {"role": "user", "content": QUESTION},
    {"role": "assistant", "content": ANSWER},
]
PLAIN = Wish()


def csv_of(folder: Path, names: Sequence[str], *rows: Sequence[Any], delimiter: str = ",") -> Path:
    """A CSV file as a spreadsheet writes it."""
    text = StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows([names, *rows])
    path = folder / "data.csv"
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    return path


def jsonl_of(folder: Path, *rows: Any) -> Path:
    """A file with a value a line."""
    path = folder / "data.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def rows_of(path: Path, wish: Wish = PLAIN, kind: Kind | None = None) -> list[Row]:
    """All rows of a good file."""
    return [row for _, row in open_dataset(path, wish, kind).rows(at_least=1)]


def read_to_the_end(
    path: Path, wish: Wish = PLAIN, *, at_least: int = 1, at_most: int = 1000
) -> Reading:
    """What is told of a good file."""
    reading = open_dataset(path, wish)
    for _ in reading.rows(at_least=at_least, at_most=at_most):
        pass
    return reading


def refused(path: Path, wish: Wish = PLAIN, **bounds: int) -> DatasetError:
    """What is said of a bad one."""
    with pytest.raises(DatasetError) as caught:
        read_to_the_end(path, wish, **bounds)
    return caught.value
