"""What a dataset is made of, whatever file it came in: conversations, preferences or plain texts, one a row.

Standard library only; the api imports it. A file of rows is JSON Lines, each line with the number that the row had in
the file it came from.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
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
_NAMES = {kind: tuple(one.name for one in fields(kind)) for kind in (Chat, Preference, Text)}


Fold = Literal["train", "eval", "test"]
"""What rows are for: to learn from, to judge checkpoints, and to judge the result in the end."""
FOLDS: tuple[Fold, ...] = ("train", "eval", "test")


def write_rows(path: Path, rows: Iterable[Row]) -> int:
    """Write rows as they come; how many there were."""
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(line_of(row))
            count += 1
    return count


def line_of(row: Row) -> str:
    """A row as it stands in a file."""
    content = {
        "row" if name == "number" else name: value
        for name in _NAMES[type(row)]
        if (value := getattr(row, name)) is not None
    }
    return json.dumps(content, ensure_ascii=False) + "\n"


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of such a file, one after the other."""
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            content = json.loads(line)
            content["number"] = content.pop("row")
            if "messages" in content:
                yield Chat(**content)
            else:
                yield Text(**content) if "text" in content else Preference(**content)


def conversations_of(path: Path) -> list[Conversation]:
    """The conversations of such a file; it holds nothing else."""
    return [row.messages for row in read_rows(path) if isinstance(row, Chat)]
