"""A place of a key is given back whatever ends its request."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from api.auth.callers import ANYONE, FIRST_ADMIN
from api.auth.keyring import Keyring
from api.auth.keys import Wanted
from api.auth.opening import Auth, open_auth
from api.http.gate import Gate
from api.http.key_check import INSIDE, KeyCheck
from api.http.observe import Observe, seen
from api.rag.receipt import Done, Token
from api.routes.openai.chat_answers import Head, chunks
from api.routes.openai.completion_answers import completion_chunks
from api.runtime.fair import ASKING, Asking
from api.settings import Settings
from tests.databases import open_migrated

pytestmark = pytest.mark.anyio


@pytest.fixture
async def auth(tmp_path: Path) -> AsyncIterator[Auth]:
    store = open_migrated(tmp_path / "state.sqlite3")
    yield open_auth(store)
    store.close()


async def call(
    app: Gate | KeyCheck | Observe,
    text: str,
    length: int | None = 0,
    type: bytes = b"application/json",
    body: bytes = b"",
    inside: str | None = None,
) -> list[Message]:
    """What the app sends to a request with that key; `inside` is the key for which the service itself asks."""
    headers = [
        (b"host", b"localhost"),
        (b"authorization", f"Bearer {text}".encode()),
        (b"content-type", type),
        *([] if length is None else [(b"content-length", str(length).encode())]),
    ]
    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/x", "query_string": b""}
    scope["state"] = {} if inside is None else {INSIDE: inside}
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    await app({**scope, "headers": headers}, receive, send)
    return sent


def status(sent: list[Message]) -> int:
    return int(sent[0]["status"])


async def test_a_client_that_leaves_gives_its_place_back_at_once(
    auth: Auth, tmp_path: Path
) -> None:
    started = asyncio.Event()

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        started.set()
        await asyncio.Event().wait()

    _, text = auth.catalog.create(Wanted(alias="a", parallel_requests=1, tokens_per_minute=100))
    await auth.keyring.refresh()
    gate = Gate(endless, Settings(data_dir=tmp_path), auth)
    running = asyncio.create_task(call(gate, text, length=40))
    await started.wait()
    refused = await call(gate, text)
    assert status(refused) == 429
    assert (b"retry-after", b"1") in refused[0]["headers"]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    started.clear()
    assert status(await call(gate, text, length=400)) == 429  # what was begun counts as estimated
    again = asyncio.create_task(call(gate, text, length=40))
    await asyncio.wait_for(started.wait(), 60)
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)


async def test_a_route_that_breaks_gives_its_place_back(auth: Auth, tmp_path: Path) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError

    _, text = auth.catalog.create(Wanted(alias="a", parallel_requests=1))
    await auth.keyring.refresh()
    gate = Gate(broken, Settings(data_dir=tmp_path), auth)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            await call(gate, text)


async def events(ends: bool) -> AsyncGenerator[tuple[int, Token | Done], None]:
    for _ in range(40):
        yield 0, Token("a ")
    if ends:
        yield 0, Done("stop", 11, 41)
    await asyncio.Event().wait()


@pytest.mark.parametrize("write", [chunks, completion_chunks])
@pytest.mark.parametrize(("ends", "took"), [(True, (11, 41)), (False, (32, 40))])
async def test_what_was_said_counts_for_a_client_that_reads_no_further(
    auth: Auth, tmp_path: Path, write: Any, ends: bool, took: tuple[int, int]
) -> None:
    async def left(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        written = write(Head("demo", "id"), events(ends), 1, wants_usage=True)
        async for one in written:
            if one.data["choices"][0]["finish_reason"] or (not ends and seen().pieces == 40):
                break
        await written.aclose()

    key, text = auth.catalog.create(Wanted(alias="a", tokens_per_minute=1000))
    await auth.keyring.refresh()
    gate = Observe(Gate(left, Settings(data_dir=tmp_path), auth), lambda _: Response())
    await call(gate, text)
    await auth.usage.write()
    (use,) = auth.store.keys.used("2000-01-01", key.id)
    assert (use.prompt_tokens, use.completion_tokens) == took


async def test_a_client_gone_counts_as_estimated_and_a_strange_type_is_no_file(
    auth: Auth, tmp_path: Path
) -> None:
    async def gone(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 499, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    _, text = auth.catalog.create(Wanted(alias="a", tokens_per_minute=1000))
    await auth.keyring.refresh()
    gate = Observe(Gate(gone, Settings(data_dir=tmp_path), auth), lambda _: Response())
    await call(gate, text, length=4000, type=b"multipart/x")
    assert status(await call(gate, text, length=4000)) == 429


async def test_a_body_that_does_not_say_its_length_is_measured(auth: Auth, tmp_path: Path) -> None:
    async def reading(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        raise asyncio.CancelledError

    key, text = auth.catalog.create(Wanted(alias="a", tokens_per_minute=1000))
    await auth.keyring.refresh()
    gate = Gate(reading, Settings(data_dir=tmp_path), auth)
    with pytest.raises(asyncio.CancelledError):
        await call(gate, text, length=None, body=b"x" * 8000)
    assert status(await call(gate, text, length=4000)) == 429
    await auth.usage.write()
    (use,) = auth.store.keys.used("2000-01-01", key.id)
    assert use.prompt_tokens == 1000  # as much as it may take in a minute


async def test_keys_that_cannot_be_read_open_nothing(auth: Auth, tmp_path: Path) -> None:
    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    unread = replace(auth, keyring=Keyring(auth.store))
    open_gate = Gate(inner, Settings(data_dir=tmp_path), unread)
    assert status(await call(open_gate, "anything")) == 503
    guarded = Gate(inner, Settings.model_validate({"data_dir": tmp_path, "api_key": "k"}), unread)
    assert status(await call(guarded, "k")) == 200
    assert status(await call(guarded, "other")) == 503


async def test_what_the_service_asks_itself_has_its_key_and_comes_behind(
    auth: Auth, tmp_path: Path
) -> None:
    asked: list[Asking] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(ASKING.get())
        await Response()(scope, receive, send)

    check = KeyCheck(app, Settings(data_dir=tmp_path), auth)
    assert status(await call(check, "", inside=ANYONE.key_id)) == 200
    key, text = auth.catalog.create(Wanted(alias="a", requests_per_minute=4))
    await auth.keyring.refresh()
    answers = [status(await call(check, "", inside=key.id)) for _ in range(3)]
    answers.append(status(await call(check, text)))
    assert answers == [200, 200, 429, 200]
    assert asked[1:] == [Asking(key.id, True), Asking(key.id, True), Asking(key.id)]
    for gone in (ANYONE.key_id, FIRST_ADMIN.key_id, "key_0"):
        assert status(await call(check, text, inside=gone)) == 401
    auth.catalog.rotate(key.id, 0)  # its id stays
    await auth.keyring.refresh()
    assert status(await call(check, "", inside=key.id)) == 429
    auth.catalog.revoke(key.id)
    await auth.keyring.refresh()
    assert status(await call(check, "", inside=key.id)) == 401
