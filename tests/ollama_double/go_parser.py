"""Parses Go's text/template: as much of it as chat templates use."""

import json
import re
from dataclasses import dataclass
from typing import Any

FUNCTIONS = {
    *("and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge"),
    *("len", "index", "slice", "print", "printf", "println", "json", "currentDate"),
}
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:\\.|[^"\\\n])*"|`[^`]*`)|(?P<number>-?\d+(?:\.\d+)?)|(?P<name>\$?\w*(?:\.\w+)+|\$\w*|\.|\w+)"""
    r"""|(?P<mark>:=|[()|=,]))"""
)
Node = Any


class TemplateFault(Exception):
    """What Go says of a template that does not parse or does not run."""


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Print:
    pipe: Node


@dataclass(frozen=True)
class Assign:
    name: str
    pipe: Node
    declares: bool


@dataclass(frozen=True)
class Block:
    """`if`, `with` or `range`."""

    kind: str
    variables: tuple[str, ...]
    pipe: Node
    body: tuple[Node, ...]
    other: tuple[Node, ...]


@dataclass(frozen=True)
class Leave:
    """`break` or `continue`."""

    kind: str


@dataclass(frozen=True)
class Call:
    """Words in a row; the first one may be a function."""

    words: tuple[Node, ...]


@dataclass(frozen=True)
class Value:
    value: Any


@dataclass(frozen=True)
class FieldPath:
    """`.A.B`, `$x.A` or `$`."""

    root: str
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Function:
    name: str


@dataclass(frozen=True)
class Of:
    """A field of what stands in parentheses."""

    pipe: Node
    fields: tuple[str, ...]


class Parser:
    """A cursor over the texts and actions of a source."""

    def __init__(self, source: str) -> None:
        self._parts = self._split(source)
        self._next = 0

    def _split(self, source: str) -> list[tuple[str, str, int]]:
        """Texts and actions with their line."""
        parts: list[tuple[str, str, int]] = []
        at, trims = 0, False
        while (start := source.find("{{", at)) >= 0:
            line = source.count("\n", 0, start) + 1
            found = re.compile(r"\{\{(-\s)?\s*(/\*.*?\*/)?", re.DOTALL).match(source, start)
            assert found
            text = source[at:start]
            text = text.lstrip() if trims else text
            parts.append(("text", text.rstrip() if found[1] else text, line))
            end = self._end(source, start, line)
            inner = source[start + 2 : end]
            trims = re.search(r"\s-$", inner) is not None
            inner = inner[1:] if found[1] else inner
            inner = (inner[:-1] if trims else inner).strip()
            if not inner.startswith("/*"):
                parts.append(("action", inner, line))
            at = end + 2
        text = source[at:]
        return [*parts, ("text", text.lstrip() if trims else text, source.count("\n") + 1)]

    def _end(self, source: str, start: int, line: int) -> int:
        """Where an action ends; texts in quotes may hold braces."""
        quoted = re.compile(r"""/\*.*?\*/|"(?:\\.|[^"\\\n])*"|`[^`]*`|\}\}""", re.DOTALL)
        for found in quoted.finditer(source, start + 2):
            if found[0] == "}}":
                return found.start()
        raise _fault(line, "unclosed action")

    def parse(self) -> tuple[Node, ...]:
        """The whole source."""
        nodes, closer, line = self._list()
        if closer:
            raise _fault(line, f"unexpected {{{{{closer}}}}}")
        return nodes

    def _list(self) -> tuple[tuple[Node, ...], str, int]:
        """Nodes up to `end`, `else` or the end of the source."""
        nodes: list[Node] = []
        while self._next < len(self._parts):
            kind, text, line = self._parts[self._next]
            self._next += 1
            if kind == "text":
                nodes.append(Text(text))
                continue
            if not text:
                raise _fault(line, "missing value for command")
            word = text.split(maxsplit=1)[0]
            if word in ("end", "else"):
                return tuple(nodes), text, line
            nodes.append(self._action(word, text, line))
        return tuple(nodes), "", self._parts[-1][2]

    def _action(self, word: str, text: str, line: int) -> Node:
        if word in ("break", "continue"):
            return Leave(word)
        if word in ("if", "with", "range"):
            return self._block(word, text[len(word) :], line)
        if word in ("define", "template", "block"):
            raise _fault(line, f"the double does not know {{{{{word}}}}}")
        names, declares, pipe = _Pipe(text, line).assignment()
        return Assign(names[0], pipe, declares) if names else Print(pipe)

    def _block(self, kind: str, head: str, line: int) -> Block:
        names, _, pipe = _Pipe(head, line).assignment()
        body, closer, _ = self._list()
        other: tuple[Node, ...] = ()
        if closer.startswith("else"):
            rest = closer[4:].strip()
            if rest:
                word = rest.split(maxsplit=1)[0]
                other = (self._block(word, rest[len(word) :], line),)
                return Block(kind, names, pipe, body, other)
            other, closer, _ = self._list()
        if closer != "end":
            raise _fault(self._parts[-1][2], "unexpected EOF")
        return Block(kind, names, pipe, body, other)


class _Pipe:
    """Parses what stands in an action."""

    def __init__(self, text: str, line: int) -> None:
        self._line = line
        self._tokens: list[tuple[str, str]] = []
        at = 0
        text = text.rstrip()
        while at < len(text):
            found = _TOKEN.match(text, at)
            if not found or not found.lastgroup:
                rest = text[at:].strip()
                raise _fault(line, _bad_character(rest))
            self._tokens.append((found.lastgroup, found[found.lastgroup]))
            at = found.end()

    def assignment(self) -> tuple[tuple[str, ...], bool, Node]:
        """The variables on the left, whether they are new, and the pipeline."""
        marks = [n for n, (kind, text) in enumerate(self._tokens) if text in (":=", "=")]
        names: tuple[str, ...] = ()
        declares = False
        if marks:
            names = tuple(text for _, text in self._tokens[: marks[0]] if text != ",")
            declares = self._tokens[marks[0]][1] == ":="
            self._tokens = self._tokens[marks[0] + 1 :]
        pipe = self._pipe()
        if self._tokens:
            raise _fault(self._line, f"unexpected {json.dumps(self._tokens[0][1])} in command")
        return names, declares, pipe

    def _pipe(self) -> Node:
        command = self._command()
        while self._tokens and self._tokens[0][1] == "|":
            self._tokens.pop(0)
            command = Call((*self._command().words, command))
        return command

    def _command(self) -> Call:
        words: list[Node] = []
        while self._tokens and self._tokens[0][1] not in (")", "|"):
            words.append(self._word(*self._tokens.pop(0)))
        if not words:
            raise _fault(self._line, "missing value for command")
        return Call(tuple(words))

    def _word(self, kind: str, text: str) -> Node:
        if kind == "text":
            return Value(text[1:-1] if text[0] == "`" else json.loads(text))
        if kind == "number":
            return Value(float(text) if "." in text else int(text))
        if text == "(":
            pipe = self._pipe()
            if not self._tokens or self._tokens.pop(0)[1] != ")":
                raise _fault(self._line, "unclosed left paren")
            if self._tokens and re.match(r"\.\w", self._tokens[0][1]):
                return Of(pipe, tuple(self._tokens.pop(0)[1][1:].split(".")))
            return pipe
        if kind == "mark":
            raise _fault(self._line, f"unexpected {json.dumps(text)} in operand")
        if text in ("true", "false", "nil"):
            return Value({"true": True, "false": False, "nil": None}[text])
        if text[0] in ".$":
            root, *fields = text.split(".")
            return FieldPath(root or ".", tuple(field for field in fields if field))
        if text not in FUNCTIONS:
            raise _fault(self._line, f"function {json.dumps(text)} not defined")
        return Function(text)


def _bad_character(rest: str) -> str:
    if rest[0] == '"':
        return "unterminated quoted string"
    if rest[0] == "`":
        return "unterminated raw quoted string"
    names = f"U+{ord(rest[0]):04X} '{rest[0]}'"
    return f"unexpected bad character {names} in command"


def _fault(line: int, what: str) -> TemplateFault:
    return TemplateFault(f"template: :{line}: {what}")
