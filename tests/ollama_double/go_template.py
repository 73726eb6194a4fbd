"""Runs Go's text/template: as much of it as chat templates use."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tests.ollama_double.go_parser import (
    Assign,
    Block,
    FieldPath,
    Function,
    Leave,
    Node,
    Of,
    Parser,
    Print,
    TemplateFault,
    Text,
    Value,
)


class Template:
    """A parsed template. `names` holds the names of all fields in it, in lower case."""

    def __init__(self, source: str) -> None:
        self._nodes = Parser(source).parse()
        self.names = {name.lower() for name in _names(self._nodes)}
        if not self.names & {"messages", "response"}:
            self._nodes += (Print(FieldPath(".", ("Response",))),)

    def render(self, values: Mapping[str, Any]) -> str:
        """The text it makes."""
        out: list[str] = []
        _run(self._nodes, values, [{"$": values}], out)
        return "".join(out)

    def before_response(self) -> "Template":
        """The template up to where the model's answer stands."""
        cut = object.__new__(Template)
        cut.names = self.names
        cut._nodes, _ = _until_response(self._nodes)
        return cut


def _names(nodes: Any) -> Iterator[str]:
    if isinstance(nodes, tuple):
        for node in nodes:
            yield from _names(node)
    elif isinstance(nodes, FieldPath | Of):
        yield from nodes.fields
    for part in ("pipe", "body", "other", "words"):
        if inner := getattr(nodes, part, None):
            yield from _names(inner)


def _until_response(nodes: tuple[Node, ...]) -> tuple[tuple[Node, ...], bool]:
    kept: list[Node] = []
    for node in nodes:
        if isinstance(node, Block):
            body, ends = _until_response(node.body)
            other, ends_too = ((), True) if ends else _until_response(node.other)
            kept.append(replace(node, body=body, other=other))
            ends = ends or ends_too
        else:
            ends = isinstance(node, Print) and "Response" in set(_names(node))
            if not ends:
                kept.append(node)
        if ends:
            return tuple(kept), True
    return tuple(kept), False


class _Left(Exception):
    def __init__(self, kind: str) -> None:
        self.kind = kind


Scopes = list[dict[str, Any]]


def _run(nodes: tuple[Node, ...], dot: Any, scopes: Scopes, out: list[str]) -> None:
    for node in nodes:
        if isinstance(node, Text):
            out.append(node.text)
        elif isinstance(node, Print):
            out.append(_shown(_value(node.pipe, dot, scopes)))
        elif isinstance(node, Assign):
            _assign(node, dot, scopes)
        elif isinstance(node, Leave):
            raise _Left(node.kind)
        elif node.kind == "range":
            _range(node, dot, scopes, out)
        else:
            value = _value(node.pipe, dot, scopes)
            inner = value if node.kind == "with" and value else dot
            scope = dict.fromkeys(node.variables, value)
            _run(node.body if value else node.other, inner, [*scopes, scope], out)


def _assign(node: Assign, dot: Any, scopes: Scopes) -> None:
    value = _value(node.pipe, dot, scopes)
    known = [scope for scope in scopes if node.name in scope]
    (scopes[-1] if node.declares or not known else known[-1])[node.name] = value


def _range(node: Block, dot: Any, scopes: Scopes, out: list[str]) -> None:
    values = _value(node.pipe, dot, scopes)
    pairs = sorted(values.items()) if isinstance(values, Mapping) else list(enumerate(values or ()))
    if not pairs:
        _run(node.other, dot, [*scopes, {}], out)
    for key, item in pairs:
        scope = dict(zip(node.variables, (key, item)[-len(node.variables) :], strict=False))
        try:
            _run(node.body, item, [*scopes, scope if node.variables else {}], out)
        except _Left as left:
            if left.kind == "break":
                break


def _value(node: Node, dot: Any, scopes: Scopes) -> Any:
    if isinstance(node, Value):
        return node.value
    if isinstance(node, FieldPath):
        root = dot if node.root == "." else _variable(node.root, scopes)
        return _fields(root, node.fields)
    if isinstance(node, Of):
        return _fields(_value(node.pipe, dot, scopes), node.fields)
    if isinstance(node, Function):
        return _called(node.name, [])
    head, *rest = node.words
    if not isinstance(head, Function):
        if rest:
            raise TemplateFault("template: :1: can't give argument to non-function")
        return _value(head, dot, scopes)
    if head.name in ("and", "or"):
        value = None
        for word in rest:
            value = _value(word, dot, scopes)
            if bool(value) != (head.name == "and"):
                break
        return value
    return _called(head.name, [_value(word, dot, scopes) for word in rest])


def _variable(name: str, scopes: Scopes) -> Any:
    for scope in reversed(scopes):
        if name in scope:
            return scope[name]
    raise TemplateFault(f"template: :1: undefined variable {json.dumps(name)}")


def _fields(value: Any, fields: Sequence[str]) -> Any:
    for field in fields:
        value = value.get(field) if isinstance(value, Mapping) else None
    return value


def _called(name: str, arguments: list[Any]) -> Any:
    try:
        return _FUNCTIONS[name](*arguments)
    except (TypeError, LookupError, ValueError) as fault:
        raise TemplateFault(
            f'template: :1:1: executing "" at <{name}>: error calling {name}: {fault}'
        ) from fault


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping | list):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return str(value)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else value[key]
    return value


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "eq": lambda one, *others: any(one == other for other in others),
    "ne": lambda one, other: one != other,
    "lt": lambda one, other: one < other,
    "le": lambda one, other: one <= other,
    "gt": lambda one, other: one > other,
    "ge": lambda one, other: one >= other,
    "not": lambda value: not value,
    "len": lambda value: len(value.encode() if isinstance(value, str) else value or ()),
    "index": _index,
    "slice": lambda value, *ends: value[slice(*ends)] if len(ends) > 1 else value[ends[0] :],
    "print": lambda *values: "".join(_shown(value) for value in values),
    "println": lambda *values: " ".join(_shown(value) for value in values) + "\n",
    "printf": lambda form, *values: form.replace("%v", "%s") % values,
    "json": lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False),
    "currentDate": lambda *_: f"{datetime.now(UTC):%Y-%m-%d}",
}
