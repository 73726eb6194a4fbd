"""What goes over the wire in both directions: Go's words for bad JSON, error bodies, lines of a stream, times."""

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

JSONObject = dict[str, Any]
Lines = AsyncGenerator[JSONObject, None]


class Failure(Exception):
    """An error as the client sees it."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def error(failure: Failure) -> Response:
    """The body of an error that comes before anything else."""
    return JSONResponse({"error": failure.text}, failure.status)


def now() -> str:
    """The time as Go writes it: trailing zeros of the fraction are dropped."""
    return timestamp(datetime.now(UTC))


def timestamp(moment: datetime) -> str:
    """A time as Go writes it."""
    fraction = f"{moment.microsecond:06}".rstrip("0")
    return f"{moment:%Y-%m-%dT%H:%M:%S}{'.' if fraction else ''}{fraction}Z"


async def stream(lines: Lines) -> Response:
    """A stream; a failure before its first line is a status, after it the last line."""
    try:
        first = await anext(lines, None)
    except Failure as failure:
        return error(failure)

    async def text() -> AsyncIterator[str]:
        async with aclosing(lines):
            try:
                if first is not None:
                    yield _line(first)
                async for line in lines:
                    yield _line(line)
            except Failure as failure:
                yield _line({"error": failure.text})

    return StreamingResponse(text(), media_type="application/x-ndjson")


def _line(value: JSONObject) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"


async def body(request: Request, name: str, fields: Mapping[str, str]) -> JSONObject:
    """The fields of a request, each of the Go type that `fields` gives; others are dropped."""
    text = (await request.body()).decode(errors="replace").lstrip(" \t\r\n")
    if not text:
        raise Failure(400, "missing request body")
    try:
        value, _ = json.JSONDecoder().raw_decode(text)
    except json.JSONDecodeError as fault:
        raise Failure(400, _syntax(text, fault)) from fault
    if not isinstance(value, dict):
        raise Failure(
            400, f"json: cannot unmarshal {_kind(value)} into Go value of type api.{name}"
        )
    return {k: _checked(name, k, v, fields[k]) for k, v in value.items() if k in fields}


def _checked(struct: str, field: str, value: Any, go_type: str) -> Any:
    expected = _JSON_KINDS.get(go_type, "array" if go_type.startswith("[]") else "object")
    kind = _kind(value)
    if value is None or go_type == "any" or kind == expected:
        if go_type == "[]api.Message":
            return [_message(struct, field, item) for item in value or []]
        return value
    raise Failure(400, _mismatch(kind, f"{struct}.{field}", go_type))


_JSON_KINDS = {"string": "string", "bool": "bool", "int": "number", "api.Tools": "array"}
_MESSAGE = {"role": "string", "content": "string", "thinking": "string", "tool_name": "string"}


def _message(struct: str, field: str, message: Any) -> JSONObject:
    if not isinstance(message, dict):
        raise Failure(400, _mismatch(_kind(message), f"{struct}.{field}", "api.Message"))
    for key, go_type in _MESSAGE.items():
        _checked(f"{struct}.{field}", key, message.get(key), go_type)
    for call in message.get("tool_calls") or []:
        if not isinstance(call.get("function", {}).get("arguments", {}), dict):
            raise Failure(400, "Value looks like object, but can't find closing '}' symbol")
    return {"role": "", "content": "", **{k: v for k, v in message.items() if v is not None}}


def _mismatch(kind: str, field: str, go_type: str) -> str:
    return f"json: cannot unmarshal {kind} into Go struct field {field} of type {go_type}"


def _kind(value: Any) -> str:
    kinds = {bool: "bool", str: "string", list: "array", dict: "object"}
    return kinds.get(type(value), "number")


_PLACES = {
    "Expecting property name": "looking for beginning of object key string",
    "Expecting ':'": "after object key",
    "Invalid control": "in string literal",
    "Invalid \\escape": "in string escape code",
}


def _syntax(text: str, fault: json.JSONDecodeError) -> str:
    """Go's words for a text that is no JSON."""
    rest = text[fault.pos :].lstrip()
    if not rest or fault.msg.startswith("Unterminated"):
        return "unexpected EOF"
    for literal in ("true", "false", "null"):
        if fault.msg == "Expecting value" and rest[0] == literal[0]:
            at = next((n for n, c in enumerate(literal) if rest[n : n + 1] != c), 0)
            if at >= len(rest):
                return "unexpected EOF"
            what = f"in literal {literal} (expecting '{literal[at]}')"
            return f"invalid character '{rest[at]}' {what}"
    place = next((v for k, v in _PLACES.items() if fault.msg.startswith(k)), None)
    if place is None and fault.msg.startswith("Expecting ','"):
        opened = re.sub(r'"(\\.|[^"\\])*"|[^][{}]', "", text[: fault.pos])
        while opened != (shorter := re.sub(r"\[\]|\{\}", "", opened)):
            opened = shorter
        place = "after array element" if opened.endswith("[") else "after object key:value pair"
    return f"invalid character '{rest[0]}' {place or 'looking for beginning of value'}"
