"""What a dataset is made of, whatever file it came in: conversations, preferences or plain texts, one a row.

Standard library only; the api imports it. A file of rows is JSON Lines, each line with the number that the row had in
the file it came from.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Message = dict[str, Any]
"""One turn: `role` and `content`; of a tool's turns also `tool_calls`, `tool_call_id` and `name`, as OpenAI has them."""
Conversation = list[Message]


@dataclass(frozen=True, slots=True)
class Chat:
    """One conversation to learn from, and the tools that it could call."""

    number: int
    messages: Conversation
    tools: list[dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Preference:
    """One prompt with the answer that is wanted, and one that is not."""

    number: int
    prompt: Conversation
    chosen: Conversation
    rejected: Conversation


@dataclass(frozen=True, slots=True)
class Text:
    """A text to go on learning the language from."""

    number: int
    text: str


Row = Chat | Preference | Text


Fold = Literal["train", "eval", "test"]
"""What rows are for: to learn from, to judge checkpoints, and to judge the result in the end."""
FOLDS: tuple[Fold, ...] = ("train", "eval", "test")


def write_rows(path: Path, rows: Iterable[Row]) -> int:
    """Write rows as they come; how many there were."""
    return write_folded(path, (("train", row) for row in rows))


def write_folded(path: Path, rows: Iterable[tuple[Fold, Row]]) -> int:
    """Write rows with what they are for; how many there were."""
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for fold, row in rows:
            file.write(line_of(row, fold))
            count += 1
    return count


def line_of(row: Row, fold: Fold = "train") -> str:
    """A row as it stands in a file."""
    fields = {name: value for name, value in asdict(row).items() if value is not None}
    fields["row"] = fields.pop("number")
    if fold != "train":
        fields["fold"] = fold
    return json.dumps(fields, ensure_ascii=False) + "\n"


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a file that `write_rows` made, one after the other."""
    return (row for _, row in read_folded(path))


def read_folded(path: Path) -> Iterator[tuple[Fold, Row]]:
    """The rows of a file with what each is for."""
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            fields = json.loads(line)
            fields["number"] = fields.pop("row")
            fold: Fold = fields.pop("fold", "train")
            if "messages" in fields:
                yield fold, Chat(**fields)
            else:
                yield fold, Text(**fields) if "text" in fields else Preference(**fields)


def conversations_of(path: Path) -> list[Conversation]:
    """The conversations of such a file; it holds nothing else."""
    return [row.messages for row in read_rows(path) if isinstance(row, Chat)]
