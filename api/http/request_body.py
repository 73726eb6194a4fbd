"""The bytes of a request as named raw values: bounded, strictly decoded, never repaired in silence.

What the values mean is decided in `request_fields.py`.
"""

import asyncio
import json
import math
import re
from codecs import BOM_UTF8
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import anyio.to_thread
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect

from api.errors import BadRequest, ClientGone, TooLarge, TooSlow, UnsupportedMediaType
from api.http.compressed import is_compressed, unpacked
from api.http.multipart import MAX_FILES, read_multipart

MAX_PAIRS = 1000
MAX_DEPTH = 32
MAX_VALUES = 200_000
"""Values and names that JSON may have; an image or a document is one."""
BYTES_BESIDE = 2**16
"""JSON of more is read beside the event loop."""
PATIENCE_SECONDS = 60.0
"""Time a body may take, and one second more for each `SLOWEST_BYTES_PER_SECOND` that have come."""
SLOWEST_BYTES_PER_SECOND = 1000
PART_HEADERS_BYTES = 2**16
"""What the headers and borders of a multipart body may add to its files."""

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
TEXT = re.compile(r'"[^"\\]*+(?:\\.?[^"\\]*+)*+"?', re.DOTALL)
HALF_A_PAIR = re.compile("[\ud800-\udfff]")

Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Body:
    """What a body carried: text values, JSON values, files."""

    pairs: Pairs = field(default_factory=list)
    members: Mapping[str, Any] = field(default_factory=dict)
    files: list[tuple[str, UploadFile]] = field(default_factory=list)

    async def close(self) -> None:
        """Remove the files' temporary copies."""
        for _, file in self.files:
            await file.close()


def invalid(where: str, reason: str) -> RequestValidationError:
    """A 422 about one field."""
    return RequestValidationError([{"type": "invalid", "loc": (where,), "msg": reason}])


def query_pairs(request: Request) -> Pairs:
    """Names and values of the query, in order."""
    return _decoded_pairs(request.scope["query_string"], "query")


async def read_body(
    request: Request,
    *,
    max_bytes: int,
    max_file_bytes: int = 0,
    max_files: int = MAX_FILES,
    needed_file: str = "",
    needs_json: bool = False,
    patience_seconds: float = PATIENCE_SECONDS,
) -> Body:
    """The body by its media type; `max_file_bytes` is the room for files, 0 where none may come, and
    `needed_file` the name of the part without which nothing is done.

    JSON is understood under a form's media type too, and under none: so `curl -d` sends it. The mark of UTF-8 before it
    (BOM), which some Windows programs write into files, says nothing.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    limit = max_bytes
    if max_file_bytes and media_type == MULTIPART:
        limit += max_file_bytes + PART_HEADERS_BYTES * (1 + max_files // MAX_FILES)
    chunks = _bounded(request, limit, patience_seconds)
    if is_compressed(request.headers.get("content-encoding", "")):
        chunks = unpacked(chunks, limit)
    if media_type == MULTIPART and not needs_json:
        return _body_of(await read_multipart(request, chunks, max_bytes, max_files))
    content = b"".join([chunk async for chunk in chunks]).removeprefix(BOM_UTF8)
    if not content:
        return Body()
    if needed_file:
        raise UnsupportedMediaType(
            f"Send the file as a part of multipart/form-data; with curl: -F {needed_file}=@FILE"
        )
    is_unsaid = media_type in {"", "text/plain", FORM} and content.lstrip().startswith((b"{", b"["))
    if is_unsaid or media_type == JSON or media_type.endswith("+json"):
        if len(content) > BYTES_BESIDE:
            return Body(members=await anyio.to_thread.run_sync(_json_members, content))
        return Body(members=_json_members(content))
    if needs_json:
        raise UnsupportedMediaType("Send a JSON object, as application/json.")
    if media_type == FORM:
        return Body(pairs=_decoded_pairs(content, "body"))
    raise UnsupportedMediaType("Send parameters in the query, as a form, or as application/json.")


def _body_of(parts: list[tuple[str, str | UploadFile]]) -> Body:
    body = Body()
    for name, value in parts:
        if isinstance(value, str):
            body.pairs.append((name, value))
        elif value.filename or value.size:  # else a browser's, for a file that nobody chose
            body.files.append((name, value))
    return body


async def _bounded(
    request: Request, limit: int, patience_seconds: float
) -> AsyncGenerator[bytes, None]:
    too_large = TooLarge(f"The body may have {limit} bytes.", limit_bytes=limit)
    if int(request.headers.get("content-length", "0")) > limit:
        raise too_large
    received = 0
    started = asyncio.get_running_loop().time()
    stream = request.stream()
    while True:
        deadline = started + patience_seconds + received / SLOWEST_BYTES_PER_SECOND
        try:
            async with asyncio.timeout_at(deadline):
                chunk = await anext(stream, None)
        except ClientDisconnect:
            raise ClientGone(
                "The client closed the connection before its body was whole."
            ) from None
        except TimeoutError:
            raise TooSlow(
                f"The body stopped or came slower than {SLOWEST_BYTES_PER_SECOND} bytes a second "
                f"({received} bytes so far). Send it again over a better line."
            ) from None
        if chunk is None:
            return
        received += len(chunk)
        if received > limit:
            raise too_large
        yield chunk


def _decoded_pairs(content: bytes, where: str) -> Pairs:
    try:
        text = content.decode("utf-8")
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_PAIRS)
    except UnicodeDecodeError:
        raise invalid(where, "The text is not UTF-8.") from None
    except ValueError:
        raise BadRequest(f"More than {MAX_PAIRS} parameters in the {where}.") from None


def json_value(text: str, where: str) -> Any:
    """A value that is written as JSON in a query or a form."""
    try:
        value = _loaded(text)
        _require_sound(where, value)
    except json.JSONDecodeError as error:
        raise invalid(where, f"The value is not JSON: {_position(error)}.") from None
    except BadRequest as error:
        raise invalid(where, error.detail) from None
    return value


def _json_members(content: bytes) -> Mapping[str, Any]:
    try:
        members = _loaded(content.decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BadRequest(f"The body is not JSON in UTF-8: {_position(error)}.") from None
    if not isinstance(members, dict):
        raise BadRequest("The body must be a JSON object.")
    for name, value in members.items():
        _require_sound(name, name)
        _require_sound(name, value)
    return members


def _loaded(text: str) -> Any:
    _require_few_values(text)
    try:
        return json.loads(text, object_pairs_hook=_unique_keys, parse_int=_bounded_int)
    except RecursionError:
        raise _too_deep() from None


def _require_few_values(text: str) -> None:
    """Counted before anything is made of them, for their making lets nothing else run."""
    if sum(map(text.count, ",[{")) < MAX_VALUES:
        return
    between = TEXT.split(text, MAX_VALUES)
    if len(between) > MAX_VALUES or sum(sum(map(one.count, ",[{")) for one in between) > MAX_VALUES:
        raise BadRequest(f"The JSON has more than {MAX_VALUES} values.")


def _position(error: UnicodeDecodeError | json.JSONDecodeError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno}, column {error.colno}"
    return f"byte {error.start} is not UTF-8"


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise invalid(name, "Given twice.")
        members[name] = value
    return members


def _bounded_int(digits: str) -> int | float:
    return int(digits) if len(digits) < 100 else math.inf


def _require_sound(where: str, value: object) -> None:
    """Refuse lone surrogates and numbers that are none or too large."""
    for scalar in _scalars(value):
        if isinstance(scalar, str):
            if HALF_A_PAIR.search(scalar):
                raise invalid(where, "The text holds half a surrogate pair.")
        elif isinstance(scalar, int | float) and not -(2.0**63) <= scalar < 2.0**63:  # NaN too
            raise invalid(where, "The number is out of range.")


def _scalars(value: object, depth: int = 1) -> Iterator[object]:
    if depth > MAX_DEPTH:
        raise _too_deep()
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _scalars(item, depth + 1)
    else:
        yield value


def _too_deep() -> BadRequest:
    return BadRequest(f"The JSON is nested deeper than {MAX_DEPTH} levels.")
