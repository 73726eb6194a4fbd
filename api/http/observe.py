"""What the operator sees of requests: an id in each answer and error, and one log line when a request has ended.

Neither tells what was asked: a path is logged as its route's template, a problem as its title.
"""

import json
import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOGGER = logging.getLogger(__name__)
REQUEST_ID = "X-Request-ID"
SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
"""An id that a caller may choose; another is replaced by one of ours."""

Fields = Mapping[str, str | int]


def _new_id() -> str:
    return secrets.token_hex(8)


@dataclass(slots=True)
class Seen:
    """What the log line of a request will tell; a route writes the model and the tokens into it."""

    id: str = field(default_factory=_new_id)
    key: str | None = None
    """What the caller's key is called."""
    model: str | None = None
    named: str | None = None
    """The model as it was asked for: told when nothing was wrong with it, for it could be any text."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    pieces: int = 0
    """Of answers, about a token each, that were sent before it was known what they took."""
    problem: str | None = None
    """Title of the error that was answered, or that ended a stream."""
    status: int | None = None
    is_whole: bool = False
    is_over: bool = False

    def add_tokens(self, prompt: int, completion: int) -> None:
        """What one answer took; a request may have several."""
        self.prompt_tokens = (self.prompt_tokens or 0) + prompt
        self.completion_tokens = (self.completion_tokens or 0) + completion


_SEEN: ContextVar[Seen | None] = ContextVar("seen", default=None)


def seen() -> Seen:
    """The running request, for who has something to add to its line; outside of any, one that nobody reads."""
    return _SEEN.get() or Seen()


class Observe:
    """ASGI middleware, the outermost: gives a request its id, answers a defect, and logs the request.

    The layers below get a scope of their own, into which they may write the path and the route.
    """

    def __init__(
        self,
        app: ASGIApp,
        on_defect: Callable[[str], Response],
        on_end: Callable[[Fields], None] = lambda _: None,
    ) -> None:
        """`on_defect` makes the answer to what nobody caught on a path; `on_end` is told what the log line tells."""
        self._app = app
        self._on_end = on_end
        self._on_defect = on_defect

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and watch its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        now, started, method = Seen(_id_of(scope)), time.perf_counter(), scope["method"]
        scope = {**scope}
        token = _SEEN.set(now)
        try:
            await self._answer(scope, receive, _watched(send, now), now)
        finally:
            now.is_over = True
            _SEEN.reset(token)
            fields = {"method": method, **_fields(now, scope, time.perf_counter() - started)}
            log(fields)
            self._on_end(fields)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, now: Seen) -> None:
        try:
            await self._app(scope, receive, send)
        except Exception:
            LOGGER.exception("A defect:")
            if now.status is None:
                await self._on_defect(scope["path"])(scope, receive, send)


def log(fields: Fields) -> None:
    """Write the line of one request."""
    text = " ".join(
        _quoted(value) if name in {"method", "route", "status"} else f"{name}={_quoted(value)}"
        for name, value in fields.items()
    )
    LOGGER.info("%s", text, extra={"request": fields})


def log_handler(form: Literal["text", "json"]) -> logging.Handler:
    """Writes each line with the id of the request that it belongs to."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if form == "json" else _Text(TEXT_FORMAT))
    return handler


MOST_CHARACTERS = 200
TEXT_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class _Text(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:
        id = _running_id()
        return super().formatMessage(record) + (f" {_name_of_id(record)}={id}" if id else "")


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        id = _running_id()
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            **({_name_of_id(record): id} if id else {}),
            **(getattr(record, "request", None) or {"message": record.getMessage()}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def _name_of_id(record: logging.LogRecord) -> str:
    """The line of a request has its own `id`: one that is written while another runs was asked within that one."""
    return "within" if hasattr(record, "request") else "id"


def _running_id() -> str:
    """The id of the request in which a line is written; work that outlives its request has none."""
    now = _SEEN.get()
    return "" if now is None or now.is_over else now.id


def _id_of(scope: Scope) -> str:
    given = Headers(scope=scope).getlist(REQUEST_ID)
    return given[0] if len(given) == 1 and SANE_ID.fullmatch(given[0]) else _new_id()


def _watched(send: Send, now: Seen) -> Send:
    async def watched(message: Message) -> None:
        if message["type"] == "http.response.start":
            now.status = message["status"]
            message.setdefault("headers", [])
            MutableHeaders(scope=message)[REQUEST_ID] = now.id
        await send(message)
        if message["type"] == "http.response.body":
            now.is_whole = not message.get("more_body", False)

    return watched


def _fields(now: Seen, scope: Scope, seconds: float) -> Fields:
    fields = {
        "route": route_of(scope),
        "status": now.status,
        "duration_ms": round(seconds * 1000),
        "id": now.id,
        "client": scope["client"][0] if scope.get("client") else "-",
        "key": now.key,
        "model": model_of(now, scope),
        "prompt_tokens": now.prompt_tokens,
        "completion_tokens": now.completion_tokens,
        "problem": now.problem,
        "cut_short": None if now.is_whole else "yes",
    }
    return {name: value for name, value in fields.items() if value is not None}


def route_of(scope: Scope) -> str:
    """The template of the route that was found, never what was asked for; `-` where none was."""
    return getattr(scope.get("route"), "path_format", "") or scope.get("root_path") or "-"


def model_of(now: Seen, scope: Scope) -> str | None:
    """The model that answered, or that was asked for when nothing was wrong with it."""
    if now.model:
        return now.model
    went_well = now.status is not None and now.status < 400
    name: str | None = now.named or scope.get("path_params", {}).get("modelName")
    return name if went_well else None


def _quoted(value: str | int) -> str:
    """A value as it is, in quotes where it could be read as more than one, and never endless."""
    text = str(value)[:MOST_CHARACTERS]
    return text if re.fullmatch(r"[\w./:{}@+-]+", text) else json.dumps(text, ensure_ascii=False)
