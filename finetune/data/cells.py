"""What stands in one cell: JSON, or Python's and numpy's way of writing lists and dicts, read without running anything.

numpy writes a list without commas between its items, which Python itself would read as one text; so this reads both.
Standard library only; the api imports it.
"""

import ast
import json
import re
from typing import Any

CUT_AT = 32_767
"""The most characters, counted as UTF-16 does, that a spreadsheet keeps of a cell."""
MAX_DEPTH = 100

_SPACE = re.compile(r"[\s]*")
_STRING = re.compile(r"""([uU]?)('(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")""", re.DOTALL)
_NUMBER = re.compile(r"[-+]?(?:\d[\d_]*\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|inf|nan)\b")
_NAME = re.compile(r"[A-Za-z_][\w.]*")
_WORDS: dict[str, Any] = {
    **{"None": None, "null": None, "NaN": None, "nan": None, "NaT": None, "NA": None},
    **{"True": True, "true": True, "False": False, "false": False},
}
_WRAPPERS = {"array", "np.array", "list", "tuple", "np.str_", "np.bool_", "str", "bool"}
_NUMBERS_OF_NUMPY = re.compile(r"np\.(?:u?int|float)\d*")
_CLOSING = {"[": "]", "(": ")", "{": "}"}


class Unreadable(Exception):
    """The cell cannot be read as a value; the text says why."""


def is_cut(cell: str) -> bool:
    """Whether a text has exactly the length at which spreadsheets cut."""
    if not CUT_AT // 2 <= len(cell) <= CUT_AT:
        return False
    return len(cell) + sum(character > "\uffff" for character in cell) in (CUT_AT, CUT_AT - 1)


def read_cell(cell: str) -> Any:
    """The value that a cell holds as text. Raises `Unreadable`."""
    try:
        return DECODER.decode(cell)
    except RecursionError:
        raise Unreadable("it is nested too deeply") from None
    except ValueError as error:
        reason = str(error)
    try:
        return _Literal(cell).whole()
    except Unreadable as error:
        if is_cut(cell):
            raise Unreadable(
                f"it has {CUT_AT:,} characters, where spreadsheets cut a cell: its end is missing. "
                "Write the file without a spreadsheet"
            ) from None
        if cell.lstrip()[:2] in ('{"', '["') or cell.lstrip()[:3] == '[{"':
            raise Unreadable(f"neither JSON ({reason}) nor a Python list ({error})") from None
        raise Unreadable(f"neither JSON nor a Python list: {error}") from None


def unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The members of an object, none of them given twice. Raises `Unreadable`."""
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise Unreadable(f"an object has {name[:40]!r} twice")
        members[name] = value
    return members


def _no_number(said: str) -> None:
    """NaN, which pandas writes where nothing is; JSON knows no infinity."""
    if said != "NaN":
        raise Unreadable(f"{said} is no number")


DECODER = json.JSONDecoder(object_pairs_hook=unique_members, parse_constant=_no_number)
"""JSON as strictly as a cell is read."""


class _Literal:
    """One text, read from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def whole(self) -> Any:
        """The one value that the text is."""
        value = self._value(0)
        self._skip()
        if self._at < len(self._text):
            raise self._wrong("something stands behind the value")
        return value

    def _value(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise Unreadable("it is nested too deeply")
        self._skip()
        text, at = self._text, self._at
        if at >= len(text):
            raise self._wrong("it ends too early")
        if text[at] == "{":
            return self._members(depth)
        if text[at] in "[(":
            return self._items(depth)
        if found := _STRING.match(text, at):
            self._at = found.end()
            return _string(found[2])
        if text[at] in "'\"":
            raise self._wrong("a quote is opened and never closed")
        if found := _NUMBER.match(text, at):
            self._at = found.end()
            return _number(found[0])
        if text.startswith("...", at):
            raise self._wrong("numpy has left items out here ('...'): write the file as JSON Lines")
        return self._word(depth)

    def _word(self, depth: int) -> Any:
        found = _NAME.match(self._text, self._at)
        if not found:
            raise self._wrong("no value begins here")
        name = found[0]
        if name in _WORDS:
            self._at = found.end()
            return _WORDS[name]
        is_known = name in _WRAPPERS or _NUMBERS_OF_NUMPY.fullmatch(name)
        if not is_known or self._text[found.end() : found.end() + 1] != "(":
            raise self._wrong(f"{name[:40]!r} is no value")
        self._at = found.end()
        return self._wrapped(name, depth)

    def _wrapped(self, name: str, depth: int) -> Any:
        """What stands in `array([...], dtype=object)`, `list([...])` and `np.str_('...')`."""
        self._at += 1
        value = self._value(depth + 1)
        self._skip()
        if self._peek() == ",":
            closing = self._text.find(")", self._at)
            said = self._text[self._at : closing]
            if closing < 0 or not re.fullmatch(r",\s*dtype=[\w<>='\"|.]+\s*", said):
                raise self._wrong(f"this {name}(...) cannot be read")
            self._at = closing
        self._close(")")
        return value

    def _items(self, depth: int) -> list[Any]:
        closing = _CLOSING[self._text[self._at]]
        self._at += 1
        items = []
        while not self._closes(closing):
            items.append(self._value(depth + 1))
            self._comma()
        return items

    def _members(self, depth: int) -> dict[str, Any]:
        self._at += 1
        pairs = []
        while not self._closes("}"):
            name = self._value(depth + 1)
            self._skip()
            if not isinstance(name, str) or self._peek() != ":":
                raise self._wrong("here should stand 'name': value")
            self._at += 1
            pairs.append((name, self._value(depth + 1)))
            self._comma()
        return unique_members(pairs)

    def _comma(self) -> None:
        """One comma, or, as numpy has it, none."""
        self._skip()
        if self._peek() == ",":
            self._at += 1

    def _closes(self, closing: str) -> bool:
        self._skip()
        if self._at >= len(self._text):
            raise self._wrong(f"it ends before its {closing!r}")
        if self._peek() != closing:
            return False
        self._at += 1
        return True

    def _close(self, closing: str) -> None:
        if not self._closes(closing):
            raise self._wrong(f"here should stand {closing!r}")

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _wrong(self, what: str) -> Unreadable:
        shown = self._text[self._at : self._at + 20]
        return Unreadable(f"{what} (character {self._at + 1}, before {shown!r})")


def _string(token: str) -> str:
    if "\\" not in token:
        return token[1:-1]
    try:
        return str(ast.literal_eval(token))
    except (ValueError, SyntaxError) as error:
        raise Unreadable(f"the text {token[:30]} has a broken escape ({error})") from None


def _number(token: str) -> int | float | None:
    if token.lstrip("+-") == "nan":
        return None
    try:
        return int(token) if re.fullmatch(r"[-+]?\d+", token) else float(token)
    except ValueError:
        raise Unreadable(f"{token[:30]!r} is no number") from None
