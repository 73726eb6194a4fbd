"""Functions that a caller sends, as JSON schemas or as typed Python source. Source is read here, and never run."""

import ast
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.errors import InvalidOption
from api.runtime import Options
from api.runtime.tools import Tool, check_tools

MAX_SOURCE_CHARACTERS = 16_384
"""Of one source: Python takes up to a tenth of a second to read so much, in which nothing else runs."""
MAX_SOURCES_CHARACTERS = 65_536
"""Of all sources of a request."""
_SIMPLE: Mapping[str, Mapping[str, Any]] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "None": {"type": "null"},
    "list": {"type": "array"},
    "List": {"type": "array"},
    "dict": {"type": "object"},
    "Dict": {"type": "object"},
    "Any": {},
}
_LISTS = ("list", "List", "Sequence", "Iterable")
_TYPES = (
    "str, int, float, bool, None, list[...], dict[str, ...], Literal[...], Optional[...], Union[...], A | B, Any, "
    'and Annotated[..., "what it is"]'
)


@dataclass(frozen=True, slots=True)
class Function:
    """A function that a model may call: an object schema of what it takes, and the source that can run it, if any."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    source: str = ""

    def as_tool(self) -> Tool:
        """As the runtimes are told it."""
        told = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": told}


def read_functions(sent: Sequence[str | Mapping[str, Any]], field: str) -> list[Function]:
    """All functions of what was sent: sources, and schemas as OpenAI writes them, with `type: function` around or not.
    `errors.InvalidOption` about `field` says what is wrong, of which function and parameter.
    """
    functions: list[Function] = []
    _require_few_characters(sent, field)
    for number, one in enumerate(sent):
        place = f"{field}[{number}]"
        if isinstance(one, str) and not one.lstrip().startswith("{"):
            functions += read_source(one, place, field)
        else:
            functions.append(_of_schema(one, place, field))
    tools = tuple(one.as_tool() for one in functions)
    try:
        json.dumps(tools, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidOption(f"{field}: a text in it has half a character.", where=field) from None
    except (TypeError, ValueError, RecursionError):
        pass  # which the next check tells in words of its own
    try:
        check_tools(Options(tools=tools))
    except InvalidOption as error:
        raise InvalidOption(error.detail.replace("tools", field, 1), where=field) from None
    return functions


def _require_few_characters(sent: Sequence[str | Mapping[str, Any]], field: str) -> None:
    characters = sum(len(one) for one in sent if isinstance(one, str))
    if characters > MAX_SOURCES_CHARACTERS:
        raise InvalidOption(
            f"{field}: {characters} characters in all; {MAX_SOURCES_CHARACTERS} are allowed.",
            where=field,
        )


def read_source(source: str, place: str, field: str) -> list[Function]:
    """The functions that a source defines at its top, but for those whose names begin with an underscore."""
    found = [one for one in parsed(source, place, field).body if isinstance(one, _DEFINITIONS)]
    public = [one for one in found if not one.name.startswith("_")]
    if not public:
        raise InvalidOption(f"{place}: the source defines no function.", where=field)
    try:
        return [_Reader(one, field).read(source) for one in public]
    except RecursionError:
        raise InvalidOption(f"{place}: a type is too deep.", where=field) from None


def parsed(source: str, place: str, field: str) -> ast.Module:
    """The source as Python reads it; `errors.InvalidOption` for what is none."""
    if len(source) > MAX_SOURCE_CHARACTERS:
        raise InvalidOption(
            f"{place}: {len(source)} characters; {MAX_SOURCE_CHARACTERS} are allowed.", where=field
        )
    try:
        return ast.parse(source)
    except SyntaxError as error:
        told = f"{error.msg}, line {error.lineno or 1}"
    except (ValueError, RecursionError, MemoryError):
        told = "it is too deep, or has a character that no program has"
    raise InvalidOption(f"{place}: this is no Python: {told}.", where=field)


_Definition = ast.FunctionDef | ast.AsyncFunctionDef
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class _Reader:
    """Reads one definition; every refusal names the function, and the parameter where it is about one."""

    def __init__(self, definition: _Definition, field: str) -> None:
        self._definition = definition
        self._field = field
        self._parameter = ""

    def read(self, source: str) -> Function:
        """The function, with its parameters as an object schema."""
        definition, arguments = self._definition, self._definition.args
        if isinstance(definition, ast.AsyncFunctionDef):
            raise self._refused("is async. Define it with def")
        if definition.decorator_list:
            raise self._refused("has decorators. Leave them out")
        if arguments.posonlyargs or arguments.vararg or arguments.kwarg:
            raise self._refused("has parameters without a name of their own (/, *args or **kwargs)")
        parameters = dict(self._parameters(arguments))
        schema = {
            "type": "object",
            "properties": {name: told for name, (told, _) in parameters.items()},
            "required": [name for name, (_, is_required) in parameters.items() if is_required],
            "additionalProperties": False,
        }
        return Function(definition.name, ast.get_docstring(definition) or "", schema, source)

    def _parameters(
        self, arguments: ast.arguments
    ) -> Iterator[tuple[str, tuple[dict[str, Any], bool]]]:
        """Each with its schema, and whether it must be given."""
        missing: list[ast.expr | None] = [None] * (len(arguments.args) - len(arguments.defaults))
        for one, default in zip(
            [*arguments.args, *arguments.kwonlyargs],
            [*missing, *arguments.defaults, *arguments.kw_defaults],
            strict=True,
        ):
            self._parameter = one.arg
            if one.annotation is None:
                raise self._refused(f"has no type. Write one, such as `{one.arg}: str`")
            schema = self._schema(one.annotation)
            yield one.arg, (schema | _default(default), default is None)

    def _schema(self, node: ast.expr) -> dict[str, Any]:
        """The schema of a type."""
        match node:
            case ast.Constant(value=None):
                return {"type": "null"}
            case ast.Constant(value=str(text)):
                return self._schema(self._quoted(text))
            case ast.Name() | ast.Attribute() if (name := _name(node)) in _SIMPLE:
                return dict(_SIMPLE[name])
            case ast.BinOp(op=ast.BitOr()):
                return {"anyOf": [self._schema(node.left), self._schema(node.right)]}
            case ast.Subscript(slice=ast.Tuple(elts=inner)):
                return self._generic(_name(node.value), inner, node)
            case ast.Subscript():
                return self._generic(_name(node.value), [node.slice], node)
        raise self._unknown(node)

    def _generic(self, name: str, inner: Sequence[ast.expr], node: ast.expr) -> dict[str, Any]:
        match name, inner:
            case "Annotated", [kind, *notes]:
                return self._schema(kind) | _described(notes)
            case "Literal", _:
                values = [one.value for one in inner if isinstance(one, ast.Constant)]
                if (
                    inner
                    and len(values) == len(inner)
                    and all(isinstance(v, str | int | None) for v in values)
                ):
                    return {"enum": values}
            case "Optional", [kind]:
                return {"anyOf": [self._schema(kind), {"type": "null"}]}
            case "Union", _:
                return {"anyOf": [self._schema(one) for one in inner]}
            case _, [kind] if name in _LISTS:
                return {"type": "array", "items": self._schema(kind)}
            case "dict" | "Dict" | "Mapping", [ast.Name(id="str"), kind]:
                return {"type": "object", "additionalProperties": self._schema(kind)}
        raise self._unknown(node)

    def _quoted(self, text: str) -> ast.expr:
        """A type that is written as a text."""
        try:
            node = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            node = ast.Constant(value=...)
        return ast.Constant(value=...) if isinstance(node, ast.Constant) and node.value else node

    def _unknown(self, node: ast.expr) -> InvalidOption:
        try:
            told = ast.unparse(node)[:80]
        except ValueError:  # a number of too many digits
            told = "..."
        return self._refused(f"has the type `{told}`, which is none of {_TYPES}")

    def _refused(self, why: str) -> InvalidOption:
        name, parameter = self._definition.name[:80], self._parameter[:80]
        which = f"the parameter {parameter!r} of {name}" if parameter else f"the function {name}"
        extra: dict[str, Any] = {"where": self._field, "function": name}
        if parameter:
            extra["parameter"] = parameter
        return InvalidOption(f"{self._field}: {which} {why}.", **extra)


def _name(node: ast.expr) -> str:
    """What a type is called, without the module that it comes from."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _described(notes: Sequence[ast.expr]) -> dict[str, Any]:
    """What is annotated to a type: a text, or the description of a field."""
    for note in notes:
        texts = (
            [note]
            if not isinstance(note, ast.Call)
            else [word.value for word in note.keywords if word.arg == "description"]
        )
        for one in texts:
            if isinstance(one, ast.Constant) and isinstance(one.value, str):
                return {"description": one.value}
    return {}


def _default(node: ast.expr | None) -> dict[str, Any]:
    """The default as the model is told it, where it is a plain value."""
    is_plain = isinstance(node, ast.Constant) and isinstance(node.value, str | int | float | None)
    if isinstance(node, ast.Constant) and is_plain and node.value not in (math.inf, -math.inf):
        return {"default": node.value}
    return {}


def _of_schema(sent: str | Mapping[str, Any], place: str, field: str) -> Function:
    """A function without source; in a query or a form its schema is a text."""
    try:
        told = json.loads(sent) if isinstance(sent, str) else sent
    except (ValueError, RecursionError):
        raise InvalidOption(f"{place}: this is no JSON.", where=field) from None
    inner = told.get("function", told)
    if not isinstance(inner, Mapping) or not isinstance(inner.get("name"), str):
        raise InvalidOption(
            f'{place}: a function is Python source, or {{"name": ..., "description": ..., "parameters": ...}}.',
            where=field,
        )
    description = inner.get("description") or ""
    return Function(inner["name"], description, inner.get("parameters") or {"type": "object"})
