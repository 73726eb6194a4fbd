"""The questions of an evaluation: from an uploaded file, each with its right answer."""

import shutil
import tempfile
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from api.errors import DatasetUnusable, UnsupportedMediaType
from api.evaluation.values import Pair
from finetune.data.csv import DatasetError, read_csv
from finetune.data.rows import Conversation

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
                rows = read_csv(Path(file.name), at_least=1, at_most=self._max_rows)
            except DatasetError as error:
                if error.kind == "not_csv":
                    raise UnsupportedMediaType(error.detail, where=FIELD) from error
                raise DatasetUnusable(
                    error.detail, where=FIELD, errors=error.row_fields(), count=error.count
                ) from error
        return list(islice((_pair(row.messages) for row in rows), limit))


def _pair(messages: Conversation) -> Pair:
    """The last answer of a conversation, and what stands before it."""
    last = max(place for place, turn in enumerate(messages) if turn["role"] == "assistant")
    turns = [{"role": turn["role"], "content": turn["content"]} for turn in messages[:last]]
    return Pair(turns, messages[last]["content"])
