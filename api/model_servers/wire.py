"""OpenAI's wire over one model: conversations, texts, tokens, health. What a program serves is a `Writer`.

    MODEL_SERVER_KEY=... python -m api.model_servers.causal '{"model": "/data/base_models/demo"}' --port 8000

Errors within an answer are its last event, with their status as `code`. A client that goes away ends its answer.
"""

import argparse
import asyncio
import hmac
import ipaddress
import json
import os
import sys
import threading
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from api.model_servers.writing import Desk, End, Refused, Said, Writer, options_of

KEY = "MODEL_SERVER_KEY"
"""The variable of the environment that holds the key; without one only loopback is listened on."""
_MOST_CHARACTERS = 500


def main(open_writer: Callable[[Mapping[str, Any]], Writer]) -> None:
    """Load what the command line says, then serve it until the process ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=json.loads, help="what to load, a JSON object")
    parser.add_argument("--host", type=ipaddress.ip_address, default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    chosen = parser.parse_args()
    key = os.environ.pop(KEY, "")
    if not key and not chosen.host.is_loopback:
        sys.exit(f"Set {KEY}: who reaches this address could ask without a key.")
    writer = open_writer(chosen.config)
    config = uvicorn.Config(
        application(writer, key),
        str(chosen.host),
        chosen.port,
        log_level="warning",
        timeout_keep_alive=60,
    )
    # beside the main thread it takes no signals: each ends the process at once, for nothing is to be saved
    serving = threading.Thread(target=uvicorn.Server(config).run)
    serving.start()
    serving.join()


def application(writer: Writer, key: str) -> ASGIApp:
    """The wire over a writer, for who knows the key; without one for everybody."""
    wire = Wire(writer, Desk(writer))
    routes = [
        Route("/health", _health),
        Route("/v1/models", wire.models),
        Route("/v1/chat/completions", wire.chat, methods=["POST"]),
        Route("/v1/completions", wire.complete, methods=["POST"]),
        Route("/tokenize", wire.tokenize, methods=["POST"]),
    ]
    app = Starlette(routes=routes, exception_handlers={Refused: _refusal})
    expected = f"Bearer {key}".encode()

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and key and scope["path"] != "/health":
            said = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(said, expected):
                refused = JSONResponse(_error(401, "The key is another one."), 401)
                await refused(scope, receive, send)
                return
        await app(scope, receive, send)

    return guarded


class Wire:
    """The calls of the wire."""

    def __init__(self, writer: Writer, desk: Desk) -> None:
        self._writer = writer
        self._desk = desk

    async def models(self, _: Request) -> Response:
        """The one model."""
        about: dict[str, Any] = {"id": self._writer.name, "object": "model"}
        if self._writer.context_length:
            about["max_model_len"] = self._writer.context_length
        return JSONResponse({"object": "list", "data": [about]})

    async def chat(self, request: Request) -> Response:
        """An answer to a conversation."""
        body = await self._body(request)
        said = body.get("messages")
        if not isinstance(said, list) or not said:
            raise Refused("messages: say something.", param="messages")
        messages = [_message(one) for one in said]
        return await self._answer(
            request, body, "chat.completion", lambda options: self._writer.chat(messages, options)
        )

    async def complete(self, request: Request) -> Response:
        """How a text goes on."""
        body = await self._body(request)
        prompt: Any = body.get("prompt")
        is_tokens = isinstance(prompt, list) and all(isinstance(one, int) for one in prompt)
        if not isinstance(prompt, str) and not is_tokens:
            raise Refused("prompt: a text, or its tokens.", param="prompt")
        begun: str | list[int] = prompt
        return await self._answer(
            request, body, "text_completion", lambda options: self._writer.complete(begun, options)
        )

    async def tokenize(self, request: Request) -> Response:
        """The tokens of a conversation or a text, as vLLM's server tells them."""
        body = await self._body(request)
        tokens = await asyncio.to_thread(self._writer.tokens, body)
        return JSONResponse({"tokens": tokens, "count": len(tokens)})

    async def _body(self, request: Request) -> dict[str, Any]:
        try:
            body = json.loads(await request.body())
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise Refused("A request is a JSON object.")
        if body.get("model") not in (None, self._writer.name):
            raise Refused(f"There is one model here, {self._writer.name!r}.", 404, param="model")
        return body

    async def _answer(
        self, request: Request, body: Mapping[str, Any], kind: str, begin: Callable[..., Any]
    ) -> Response:
        options = options_of(body, self._writer.takes)
        said = self._desk.written(lambda: begin(options), options.get("stop") or ())
        form = _Form(kind, self._writer.name)
        if body.get("stream"):
            told = body.get("stream_options")
            wants_usage = isinstance(told, Mapping) and bool(told.get("include_usage"))
            return _Events(_chunks(form, said, wants_usage=wants_usage))
        return await _while_connected(request, _whole(form, said))


class _Form:
    """How the answers to one request are written."""

    def __init__(self, kind: str, model: str) -> None:
        self.is_chat = kind == "chat.completion"
        prefix = "chatcmpl" if self.is_chat else "cmpl"
        self.head = {
            "id": f"{prefix}-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": model,
        }
        self.kind = kind

    def chunk(self, text: str, reason: str | None = None) -> dict[str, Any]:
        """One event of a stream."""
        said: dict[str, Any] = {"delta": {"content": text}} if self.is_chat else {"text": text}
        kind = "chat.completion.chunk" if self.is_chat else self.kind
        choice = {"index": 0, **said, "finish_reason": reason}
        return {**self.head, "object": kind, "choices": [choice]}

    def whole(self, text: str, end: End) -> dict[str, Any]:
        """An answer that comes at once."""
        said: dict[str, Any] = {"text": text}
        if self.is_chat:
            said = {"message": {"role": "assistant", "content": text}}
        choice = {"index": 0, **said, "finish_reason": end.reason}
        return {**self.head, "object": self.kind, "choices": [choice], "usage": _usage(end)}


async def _chunks(
    form: _Form, said: AsyncGenerator[Said, None], *, wants_usage: bool
) -> AsyncGenerator[dict[str, Any], None]:
    async with aclosing(said):
        async for one in said:
            if isinstance(one, str):
                yield form.chunk(one)
                continue
            yield form.chunk("", one.reason)
            if wants_usage and (usage := _usage(one)):
                yield {**form.chunk(""), "choices": [], "usage": usage}


async def _whole(form: _Form, said: AsyncGenerator[Said, None]) -> Response:
    text, end = "", End()
    async with aclosing(said):
        try:
            async for one in said:
                if isinstance(one, str):
                    text += one
                else:
                    end = one
        except Refused as error:
            return _refusal(None, error)
    return JSONResponse(form.whole(text, end))


class _Events(Response):
    """A stream that ends with its client, or with an event that tells what went wrong."""

    def __init__(self, events: AsyncGenerator[dict[str, Any], None]) -> None:
        self.status_code = 200
        self.background = None
        self.media_type = "text/event-stream"
        self.init_headers({"Cache-Control": "no-store"})
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send all of them."""
        async with anyio.create_task_group() as group, aclosing(self._events):
            group.start_soon(_cancel_when_gone, receive, group.cancel_scope)
            start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
            await send(start)
            try:
                async for event in self._events:
                    await _send(send, json.dumps(event))
                await _send(send, "[DONE]")
            except Refused as error:
                await _send(send, json.dumps(_error(error.status, str(error), error.param)))
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            group.cancel_scope.cancel()


async def _send(send: Send, data: str) -> None:
    body = f"data: {data}\n\n".encode()
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _while_connected(request: Request, work: Any) -> Response:
    answers: list[Response] = []
    async with anyio.create_task_group() as group:
        group.start_soon(_cancel_when_gone, request.receive, group.cancel_scope)
        answers.append(await work)
        group.cancel_scope.cancel()
    return answers[0] if answers else Response(status_code=499)


async def _cancel_when_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _health(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


def _message(told: Any) -> dict[str, Any]:
    """A turn with its text, and with calls of functions where it has some; `Refused` for what is none."""
    said = told if isinstance(told, Mapping) else {}
    calls = {name: said[name] for name in ("tool_calls", "tool_call_id") if said.get(name)}
    content = said.get("content")
    if isinstance(content, list) and all(
        isinstance(one, Mapping) and one.get("type") == "text" for one in content
    ):
        content = "".join(str(one.get("text", "")) for one in content)
    elif content is None and "tool_calls" in calls:
        content = ""
    if not isinstance(content, str) or not isinstance(said.get("role"), str):
        raise Refused("messages: each has a role and a text.", param="messages")
    return {"role": said["role"], "content": content, **calls}


def _usage(end: End) -> dict[str, int] | None:
    """None where the writer does not count."""
    if end.prompt_tokens is None or end.completion_tokens is None:
        return None
    total = end.prompt_tokens + end.completion_tokens
    return {
        "prompt_tokens": end.prompt_tokens,
        "completion_tokens": end.completion_tokens,
        "total_tokens": total,
    }


def _error(status: int, message: str, param: str | None = None) -> dict[str, Any]:
    kind = "invalid_request_error" if status < 500 else "server_error"
    about = {"message": message[:_MOST_CHARACTERS], "type": kind, "param": param, "code": status}
    return {"error": about}


def _refusal(_: Request | None, error: Exception) -> Response:
    assert isinstance(error, Refused)  # noqa: S101
    return JSONResponse(_error(error.status, str(error), error.param), error.status)
