"""One row of a table becomes a conversation, a preference or a text, by the form that its columns have."""

import string
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from finetune.data.cells import CUT_AT, Unreadable, is_cut, read_cell
from finetune.data.errors import RowError
from finetune.data.mapping import FOLD, Understood, Wish
from finetune.data.rows import Chat, Conversation, Fold, Preference, Row, Text
from finetune.data.table import TableRow
from finetune.data.turns import NotTurns, any_turns, read_tools, read_turns, require_text

NAMES_OF_FOLDS: Mapping[str, Fold] = {
    **{"train": "train", "training": "train"},
    **{"eval": "eval", "evaluation": "eval", "valid": "eval", "val": "eval", "dev": "eval"},
    **{"validation": "eval", "test": "test", "testing": "test"},
}

T = TypeVar("T")


class _Wrong(Exception):
    """A cell that cannot be used."""

    def __init__(self, column: str, reason: str, expected: str) -> None:
        super().__init__(reason)
        self.column = column
        self.reason = reason
        self.expected = expected


class RowReader:
    """Makes rows of one table's rows."""

    def __init__(self, understood: Understood, wish: Wish) -> None:
        self._understood = understood
        self._wish = wish
        self._make = _MAKERS[understood.form.name]

    def read(self, row: TableRow) -> tuple[Fold, Row] | RowError:
        """The row and what it is for, or what is wrong with it."""
        cells = _Cells(row, self._understood.columns, self._wish)
        try:
            return cells.fold(), self._make(cells)
        except _Wrong as wrong:
            return RowError(row.number, wrong.column, wrong.reason, wrong.expected)

    def cut_text(self, row: TableRow) -> str | None:
        """The column of a text that has exactly the length at which spreadsheets cut."""
        for column in self._understood.columns.values():
            cell = row.cells.get(column)
            if isinstance(cell, str) and is_cut(cell):
                return column
        return None


class _Cells:
    """The cells of one row by what they are."""

    def __init__(self, row: TableRow, columns: Mapping[str, str], wish: Wish) -> None:
        self.number = row.number
        self._cells = row.cells
        self._columns = columns
        self.wish = wish

    def has(self, *names: str) -> bool:
        """Whether one of these columns is there and not empty."""
        return any(name in self._columns and not _is_empty(self._raw(name)) for name in names)

    def name(self, *names: str) -> str:
        """The one of these names that the table has."""
        return next(name for name in names if name in self._columns)

    def text(self, name: str) -> str:
        """A text that is not empty."""
        cell = self._raw(name)
        if isinstance(cell, int | float) and not isinstance(cell, bool):
            cell = str(cell)
        if _is_empty(cell):
            raise self.wrong(name, "The cell is empty.", "text")
        if not isinstance(cell, str):
            raise self.wrong(name, f"The cell is a {type(cell).__name__}, not a text.", "text")
        return self._tried(name, lambda: require_text(cell, "The cell"))

    def turns(self, name: str) -> Conversation:
        """A list of turns."""
        return self._tried(name, lambda: any_turns(self._raw(name)))

    def said(self, name: str, role: str) -> Conversation:
        """A list of turns, or a text that is one turn of this role."""
        cell = self._raw(name)
        turns = _turns_in(cell) if isinstance(cell, str) else cell
        if isinstance(turns, list | dict):
            return self._tried(name, lambda: any_turns(turns))
        return [{"role": role, "content": self.text(name)}]

    def tools(self) -> list[dict[str, Any]] | None:
        """The tools, where there are any."""
        if not self.has("tools"):
            return None
        return self._tried("tools", lambda: read_tools(self._raw("tools")))

    def fold(self) -> Fold:
        """What the row is for."""
        if FOLD not in self._columns:
            return "train"
        said = str(self._raw(FOLD) or "").strip().casefold()
        if said not in NAMES_OF_FOLDS:
            raise self.wrong(
                FOLD, f"The fold is {said[:40]!r}." if said else "The cell is empty.", "train, valid or test"
            )
        return NAMES_OF_FOLDS[said]

    def learned(self, messages: Conversation, name: str) -> Conversation:
        """The conversation with the system message, checked once more as a whole."""
        own = messages[0]["role"] == "system" if messages else False
        system = self.text("system") if self.has("system") else self.wish.system
        whole = [{"role": "system", "content": system}, *messages] if system and not own else messages
        return self._tried(name, lambda: read_turns(whole))

    def filled(self, template: str) -> str:
        """The template with the cells in it."""
        values = {
            name: "" if _is_empty(self._raw(name)) else str(self._raw(name)) for name in self._columns
        }
        parts = string.Formatter().parse(template)
        text = "".join(said + (values[name] if name else "") for said, name, _, _ in parts)
        if not any(values[name].strip() for name in self._columns if name != FOLD):
            column = next(iter(self._columns.values()))
            raise _Wrong(column, "Every cell of the template is empty.", "text")
        return self._tried(next(iter(self._columns)), lambda: require_text(text, "The text"))

    def _raw(self, name: str) -> Any:
        return self._cells.get(self._columns[name])

    def _tried(self, name: str, read: Callable[[], T]) -> T:
        try:
            return read()
        except NotTurns as wrong:
            raise self.wrong(name, wrong.reason, wrong.expected) from None

    def wrong(self, name: str, reason: str, expected: str) -> _Wrong:
        """What is wrong with a cell; of one that a spreadsheet has cut, that too."""
        cell = self._raw(name)
        if isinstance(cell, str) and is_cut(cell) and f"{CUT_AT:,}" not in reason:
            reason += f" It has {CUT_AT:,} characters, where spreadsheets cut a cell."
        return _Wrong(self._columns[name], reason, expected)


def _is_empty(cell: Any) -> bool:
    is_nan = isinstance(cell, float) and cell != cell
    return cell is None or is_nan or (isinstance(cell, str) and not cell.strip())


def _turns_in(cell: str) -> Any:
    """The turns that a text is written for, as pandas writes them; None for any other, JSON too."""
    if cell.lstrip()[:1] not in ("[", "{", "a"):
        return None
    try:
        value = read_cell(cell)
    except Unreadable:
        return None
    turns = value.get("messages") if isinstance(value, dict) else value
    is_one = isinstance(turns, list) and turns and all(
        isinstance(turn, dict) and ("role" in turn or "from" in turn) for turn in turns
    )
    return turns if is_one else None


def _messages(cells: _Cells) -> Row:
    messages = cells.turns("messages")
    return Chat(cells.number, cells.learned(messages, "messages"), cells.tools())


def _sharegpt(cells: _Cells) -> Row:
    name = cells.name("conversations", "conversation")
    return Chat(cells.number, cells.learned(cells.turns(name), name), cells.tools())


def _alpaca(cells: _Cells) -> Row:
    answer = cells.name("output", "response")
    question = cells.text("instruction")
    for name in ("input", "context"):
        if cells.has(name):
            question += f"\n\n{cells.text(name)}"
    messages = [{"role": "user", "content": question}, *cells.said(answer, "assistant")]
    return Chat(cells.number, cells.learned(messages, answer))


def _prompt_completion(cells: _Cells) -> Row:
    answer = cells.name("completion", "response")
    messages = [*cells.said("prompt", "user"), *cells.said(answer, "assistant")]
    return Chat(cells.number, cells.learned(messages, answer), cells.tools())


def _preferences(cells: _Cells) -> Row:
    chosen, rejected = (cells.said(name, "assistant") for name in ("chosen", "rejected"))
    if cells.has("prompt"):
        prompt = cells.said("prompt", "user")
        chosen, rejected = _without(prompt, chosen), _without(prompt, rejected)
    else:
        prompt = _shared(chosen, rejected)
        chosen, rejected = chosen[len(prompt) :], rejected[len(prompt) :]
    return _preference(cells, prompt, chosen, rejected, "chosen", "rejected")


def _openai_preferences(cells: _Cells) -> Row:
    return _preference(
        cells,
        cells.said("input", "user"),
        cells.said("preferred_output", "assistant"),
        cells.said("non_preferred_output", "assistant"),
        "preferred_output",
        "non_preferred_output",
    )


def _preference(
    cells: _Cells,
    prompt: Conversation,
    chosen: Conversation,
    rejected: Conversation,
    chosen_name: str,
    rejected_name: str,
) -> Row:
    for name, answer in ((chosen_name, chosen), (rejected_name, rejected)):
        cells.learned([*prompt, *answer], name)
        if not answer or any(turn["role"] not in ("assistant", "tool") for turn in answer):
            raise cells.wrong(name, "It is no answer to the prompt.", "assistant turns behind the prompt")
    if chosen == rejected:
        raise cells.wrong(rejected_name, "Both answers are the same.", "two different answers")
    whole = cells.learned([*prompt, *chosen], chosen_name)
    return Preference(cells.number, whole[: len(whole) - len(chosen)], chosen, rejected)


def _without(prompt: Conversation, answer: Conversation) -> Conversation:
    """The answer without the prompt that some files repeat in it."""
    return answer[len(prompt) :] if answer[: len(prompt)] == prompt else answer


def _shared(one: Conversation, other: Conversation) -> Conversation:
    """What two conversations begin with, without the last turn of either."""
    count = 0
    while count < min(len(one), len(other)) - 1 and one[count] == other[count]:
        count += 1
    return one[:count]


def _text(cells: _Cells) -> Row:
    return Text(cells.number, cells.text("text"))


def _template(cells: _Cells) -> Row:
    return Text(cells.number, cells.filled(cells.wish.template or ""))


_MAKERS: Mapping[str, Callable[[_Cells], Row]] = {
    "messages": _messages,
    "sharegpt": _sharegpt,
    "alpaca": _alpaca,
    "prompt_completion": _prompt_completion,
    "preferences": _preferences,
    "openai_preferences": _openai_preferences,
    "text": _text,
    "template": _template,
}
