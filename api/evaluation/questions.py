"""The questions of an evaluation: the conversations of a dataset's file, each with its last answer as the right one."""

import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from api.datasets.receiving import Upload, receive, refusal
from api.errors import DatasetUnusable
from api.evaluation.values import Pair
from finetune.data.errors import DatasetError
from finetune.data.mapping import Wish
from finetune.data.reading import Reading, open_dataset
from finetune.data.rows import Chat, Conversation, Preference, Row

FIELD = "questions"
QUESTION_AND_ANSWER = Wish(columns={"question": "prompt", "answer": "completion"})


class Source:
    """Reads questions. Blocking; call it in a thread."""

    def __init__(self, uploads_dir: Path, max_rows: int) -> None:
        self._uploads_dir = uploads_dir
        self._max_rows = max_rows

    def pairs(self, upload: Upload, limit: int) -> list[Pair]:
        """The first `limit` questions; `errors.DatasetUnusable` names what is wrong, row by row."""
        with tempfile.TemporaryDirectory(dir=self._uploads_dir, prefix=".questions-") as place:
            received = receive(upload, Path(place), FIELD, FIELD)
            try:
                rows = _read(received.path).rows(at_least=0, at_most=self._max_rows)
                found = list(islice((_pair(row) for _, row in rows), limit))
            except DatasetError as error:
                raise refusal(error, FIELD) from error
        if not found:
            raise DatasetUnusable("The file has no question.", where=FIELD)
        return found


def _read(path: Path) -> Reading:
    try:
        return open_dataset(path, kind="chat")
    except DatasetError as first:
        try:
            return open_dataset(path, QUESTION_AND_ANSWER, "chat")
        except DatasetError:
            raise first from None


def _pair(row: Row) -> Pair:
    """The last answer of a row, and what stands before it."""
    if isinstance(row, Chat):
        turns = row.messages
    elif isinstance(row, Preference):
        turns = [*row.prompt, *row.chosen]
    else:
        raise DatasetUnusable(
            "The rows are texts. Questions need answers: `messages`, `question,answer` or `prompt,completion`.",
            where=FIELD,
        )
    last = max(place for place, turn in enumerate(turns) if turn["role"] == "assistant")
    if not all(_is_plain(turns[: last + 1])):
        raise DatasetUnusable(
            f"Row {row.number} has a turn without a text, or one of a tool. Leave it out.",
            where=FIELD,
        )
    asked = [{"role": turn["role"], "content": turn["content"]} for turn in turns[:last]]
    return Pair(asked, turns[last]["content"])


def _is_plain(turns: Conversation) -> Iterator[bool]:
    for turn in turns:
        text = turn.get("content")
        is_said = isinstance(text, str) and bool(text.strip())
        yield is_said and turn["role"] != "tool" and not turn.get("tool_calls")
