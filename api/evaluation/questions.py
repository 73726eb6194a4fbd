"""The questions of an evaluation: the conversations of a dataset, each with its last answer as the right one."""

import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from api.datasets.datasets import Datasets
from api.datasets.receiving import Upload, receive, refusal
from api.errors import DatasetUnusable
from api.evaluation.values import Pair
from finetune.data.errors import DatasetError
from finetune.data.mapping import Wish
from finetune.data.reading import Reading, open_dataset
from finetune.data.rows import Chat, Conversation, Preference, Row, read_rows

FIELD = "questions"
QUESTION_AND_ANSWER = Wish(columns={"question": "prompt", "answer": "completion"})


class Source:
    """Reads questions. Blocking; call it in a thread."""

    def __init__(self, datasets: Datasets, uploads_dir: Path, max_rows: int) -> None:
        self._datasets = datasets
        self._uploads_dir = uploads_dir
        self._max_rows = max_rows

    def pairs(self, given: Upload | str, limit: int) -> list[Pair]:
        """The first `limit` questions of a file, or of the dataset of this id: those of its test rows, where it has
        some. `errors.DatasetUnusable` names what is wrong, row by row.
        """
        with tempfile.TemporaryDirectory(dir=self._uploads_dir, prefix=".questions-") as place:
            try:
                found = list(islice(map(_pair, self._rows(given, Path(place))), limit))
            except DatasetError as error:
                raise refusal(error, FIELD) from error
        if not found:
            raise DatasetUnusable("There is no question in it.", where=FIELD)
        return found

    def _rows(self, given: Upload | str, place: Path) -> Iterable[Row]:
        if isinstance(given, Upload):
            received = receive(given, place, FIELD, FIELD)
            rows = _read(received.path).rows(at_least=0, at_most=self._max_rows)
            return (row for _, row in rows)
        path = place / "rows.jsonl"
        self._datasets.link_rows(given, {"test": path})
        if not path.is_file():
            self._datasets.join_rows(given, path)
        return read_rows(path)


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
