"""The questions of an evaluation: from an uploaded file, each with its right answer."""

import shutil
import tempfile
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from api.datasets.receiving import refusal
from api.evaluation.values import Pair
from finetune.data.errors import DatasetError
from finetune.data.reading import open_dataset
from finetune.data.rows import Chat, Conversation

FIELD = "questions"


@dataclass(frozen=True, slots=True)
class Asked:
    """Where the questions come from."""

    file: BinaryIO


class Source:
    """Reads questions. Blocking; call it in a thread."""

    def __init__(self, uploads_dir: Path, max_rows: int) -> None:
        self._uploads_dir = uploads_dir
        self._max_rows = max_rows

    def pairs(self, asked: Asked, limit: int) -> list[Pair]:
        """The first `limit` questions; `errors.DatasetUnusable` names what is wrong, row by row."""
        with tempfile.NamedTemporaryFile(dir=self._uploads_dir, prefix=".questions-") as file:
            asked.file.seek(0)
            shutil.copyfileobj(asked.file, file)
            file.flush()
            try:
                reading = open_dataset(Path(file.name), kind="chat")
                rows = [row for _, row in reading.rows(at_least=1, at_most=self._max_rows)]
            except DatasetError as error:
                raise refusal(error, FIELD) from error
        chats = (row for row in rows if isinstance(row, Chat))
        return list(islice((_pair(chat.messages) for chat in chats), limit))


def _pair(messages: Conversation) -> Pair:
    """The last answer of a conversation, and what stands before it."""
    last = max(place for place, turn in enumerate(messages) if turn["role"] == "assistant")
    turns = [{"role": turn["role"], "content": turn["content"]} for turn in messages[:last]]
    return Pair(turns, messages[last]["content"])
