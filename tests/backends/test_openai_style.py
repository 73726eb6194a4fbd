"""The wire to a back end: each provider's peculiarities, what goes wrong, what is tried again, and the bounds."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from api.backends.providers import PROVIDERS
from api.errors import (
    ApiError,
    BackEndFailed,
    InvalidOption,
    PromptTooLong,
    TooManyRequests,
    Unavailable,
    Unusable,
)
from api.runtime import ExistingModel, Message, Options, Persona, Piece, TokenCount, ToolCall, grown
from api.runtime.fair import ASKING, Asking, FairRuntime, Line, Turns
from api.runtime.openai_style.client import Bounds, OpenAIClient
from api.runtime.openai_style.dialect import BEYOND, Dialect
from api.runtime.openai_style.directory import Directory, RemoteModel
from api.runtime.openai_style.refusals import BackEndSilent, refusal
from api.runtime.openai_style.runtime import OpenAIStyleRuntime
from tests.backends.stand_in import KEY, REFUSES, StandIn

pytestmark = pytest.mark.anyio

HELLO = [Message("user", "Hello")]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ABILITIES = frozenset({"chat", "json_schema", "images"})

Sleep = Callable[[float], Awaitable[None]]


async def at_once(_: float) -> None:
    """Does not wait."""


@asynccontextmanager
async def over(
    address: str,
    *names: str,
    dialect: Dialect | None = None,
    provider: str = "generic",
    sleep: Sleep = at_once,
    transport: httpx2.AsyncBaseTransport | None = None,
    **bounds: float,
) -> AsyncIterator[OpenAIStyleRuntime]:
    """A runtime over the stand-in, with models of these names."""
    models = [RemoteModel(name, "cellar", name, 4096, ABILITIES) for name in names or ("big",)]
    client = OpenAIClient(
        "cellar",
        f"{address}/{provider}/v1",
        lambda: KEY,
        key_header=(dialect or Dialect()).key_header,
        bounds=replace(Bounds(), **bounds),  # type: ignore[arg-type]  # by their names
        transport=transport,
        sleep=sleep,
    )
    runtime = OpenAIStyleRuntime(client, dialect or Dialect(), Directory(models))
    yield runtime
    await runtime.close()


async def said(
    runtime: OpenAIStyleRuntime | FairRuntime,
    name: str = "big",
    options: Options = Options(),  # noqa: B008  it is frozen
    messages: Sequence[Message] = HELLO,
) -> list[Piece]:
    async with aclosing(runtime.chat(name, messages, options)) as stream:
        return [piece async for piece in stream]


def text(pieces: Sequence[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def is_said_otherwise(provider: str) -> bool:
    """Whether the same request goes to it in other words than to most."""
    plain, dialect = PROVIDERS["generic"].dialect, PROVIDERS[provider].dialect
    names = ("key_header", "rename", "drop", "clamp", "add", "schema", "usage_in_stream")
    return any(getattr(dialect, name) != getattr(plain, name) for name in names)


@pytest.mark.parametrize("provider", [one for one in sorted(REFUSES) if is_said_otherwise(one)])
async def test_what_a_provider_refuses_is_not_sent_to_it(
    stand_in: StandIn, address: str, provider: str
) -> None:
    options = Options(temperature=1.5, top_p=0.5, max_tokens=9, json_schema=CITY, stop=("#",))
    if provider == "openai-reasoning":  # which cannot stop anywhere: that is refused, not left out
        options = replace(options, stop=None, logprobs=1)
    if "repeat_penalty" in PROVIDERS[provider].dialect.rename:
        options = replace(options, repeat_penalty=1.1)
    async with over(address, "json", provider=provider) as plain:
        with pytest.raises(InvalidOption):
            await said(plain, "json", options)
    dialect = PROVIDERS[provider].dialect
    async with over(address, "json", provider=provider, dialect=dialect) as runtime:
        pieces = await said(runtime, "json", options)
        assert text(pieces) == '{"city": "Rome"}'
        _, body, headers = stand_in.sent[-1]
        asked_for_usage = "stream_options" in body
        assert pieces[-1].usage
        assert pieces[-1].usage.exact == asked_for_usage == dialect.usage_in_stream
        key = headers["api-key"] if provider == "azure" else headers["authorization"]
        assert key == (KEY if provider == "azure" else f"Bearer {KEY}")
        if dialect.schema == "json_object":  # the server knows not which: it is told in words
            assert "required" in body["messages"][0]["content"]
        for option in ("top_k", "min_p", "repeat_penalty"):
            more: dict[str, Any] = {option: 1}
            beyond = replace(options, **more)
            if option not in dialect.takes:
                with pytest.raises(InvalidOption) as refused:
                    await said(runtime, "json", beyond)
                assert refused.value.extra["where"] == option


async def test_usage_that_is_not_told_is_counted_here_and_said_not_to_be_exact(
    stand_in: StandIn, address: str
) -> None:
    async with over(address, "big", "untold") as runtime:
        told, counted = [(await said(runtime, name))[-1].usage for name in ("big", "untold")]
    assert told
    assert (told.prompt_tokens, told.completion_tokens, told.exact) == (7, 2, True)
    assert counted
    assert counted.prompt_tokens > 0 < counted.completion_tokens
    assert not counted.exact


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("locked", BackEndFailed, "'cellar' does not take the key"),
        ("unknown", BackEndFailed, "has no 'unknown'"),
        ("resting", TooManyRequests, "Tomorrow"),
        ("long", PromptTooLong, "3000 tokens"),
        ("broken", BackEndFailed, "broke off"),
        ("cut", BackEndFailed, "broke off"),
        ("failing", BackEndFailed, "The engine fell over"),
        ("away", BackEndFailed, "It fell over"),
        ("redirecting", BackEndFailed, "redirect"),
        ("silent", BackEndSilent, "too long"),
        ("stalling", BackEndSilent, "too long"),
    ],
)
async def test_what_goes_wrong_there_is_told_here(
    stand_in: StandIn, address: str, name: str, kind: type[ApiError], says: str
) -> None:
    seconds = 0.3 if kind is BackEndSilent else 60.0
    async with over(address, name, first_token_seconds=seconds, idle_seconds=seconds) as runtime:
        with pytest.raises(kind, match=says) as failure:
            await said(runtime, name)
    assert KEY not in failure.value.detail
    assert failure.value.status in (422, 429, 502, 504)
    if name == "resting":
        assert failure.value.retry_after_seconds == 3600
    tries = [sent for sent in stand_in.sent if sent[1]["model"] == name]
    assert len(tries) == (4 if name == "away" else 1)  # what said something is not asked again


async def test_who_is_too_busy_is_asked_again_when_it_says(stand_in: StandIn, address: str) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async with over(address, "busy", sleep=sleep) as runtime:
        assert text(await said(runtime, "busy")) == "Hello there"
    assert len(waits) == 2
    assert all(1 <= seconds < 3 for seconds in waits)
    async with over("http://127.0.0.1:9", retries=1, sleep=sleep) as runtime:
        with pytest.raises(Unavailable, match="cannot be reached"):
            await said(runtime)
    assert len(waits) == 3


async def test_time_is_bounded_also_before_there_is_a_connection_and_for_the_whole(
    stand_in: StandIn, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with over(address, "stalling", total_seconds=0.2) as runtime:
        with pytest.raises(BackEndSilent, match="too long"):
            await said(runtime, "stalling")
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        queued = [socket.socket() for _ in range(2)]
        for one in queued:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        port = full.getsockname()[1]
        async with over(f"http://127.0.0.1:{port}", retries=0, connect_seconds=0.1) as runtime:
            with pytest.raises(Unavailable, match="cannot be reached"):
                await said(runtime)
        for one in queued:
            one.close()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(0.3))
    async with over("http://models.example", retries=0, connect_seconds=0.1) as runtime:
        with pytest.raises(Unavailable, match="cannot be reached"):
            await said(runtime)


async def test_who_is_too_busy_for_the_whole_time_is_told_as_that() -> None:
    busy = httpx2.MockTransport(lambda _: httpx2.Response(429, headers={"Retry-After": "9"}))
    async with over("http://127.0.0.1:9", transport=busy, total_seconds=5) as runtime:
        with pytest.raises(TooManyRequests) as refused:
            await said(runtime)
    assert refused.value.retry_after_seconds == 9


async def test_a_line_ends_at_a_line_feed_and_is_not_endless() -> None:
    odd = "one\u2028two\x85three\x0cfour"
    delta = json.dumps({"choices": [{"delta": {"content": odd}}]}, ensure_ascii=False)
    end = '{"choices": [{"delta": {}, "finish_reason": "stop"}]}'
    streams = [f"data: {delta}\r\n\r\ndata: {end}".encode(), b"data: " + b"x" * 2**23]
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, content=streams.pop(0)))
    async with over("http://127.0.0.1:9", transport=transport) as runtime:
        assert text(await said(runtime)) == odd
        with pytest.raises(BackEndFailed, match="a line of more than"):
            await said(runtime)


@pytest.mark.parametrize("how", [httpx2.RemoteProtocolError, httpx2.ReadError])
@pytest.mark.parametrize(("seconds", "at_once", "tries"), [(0.0, 60.0, 4), (0.6, 0.5, 1)])
async def test_who_hangs_up_after_a_while_may_have_worked_and_is_not_asked_again(
    seconds: float,
    at_once: float,
    tries: int,
    how: type[httpx2.TransportError],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("api.runtime.openai_style.client._AT_ONCE_SECONDS", at_once)
    asked = 0

    async def serve(_: httpx2.Request) -> httpx2.Response:
        nonlocal asked
        asked += 1
        await asyncio.sleep(seconds)
        raise how("hung up")

    async with over("http://127.0.0.1:9", transport=httpx2.MockTransport(serve)) as runtime:
        with pytest.raises(BackEndFailed, match="broke off"):
            await said(runtime)
    assert asked == tries


async def test_a_server_that_lists_no_models_is_no_fault() -> None:
    missing = httpx2.MockTransport(lambda _: httpx2.Response(404))
    async with over("http://127.0.0.1:9", transport=missing) as runtime:
        assert await runtime.check() == ()
        with pytest.raises(BackEndFailed, match=r"has no 'big'.*end with /v1"):
            await said(runtime)
        assert "has no 'big'" in runtime.fault


async def test_a_thousand_streams_are_answered_or_told_when_to_come_again() -> None:
    open_now = most = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        yield b'data: {"choices": [{"delta": {"content": "Hello"}}]}\n\n'
        await asyncio.sleep(0)
        yield b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
        open_now -= 1

    def serve(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=chunks())

    turns = Turns(1, 1, line_of=lambda _: Line("back end cellar", 8, 300))
    async with over("http://127.0.0.1:9", transport=httpx2.MockTransport(serve)) as runtime:
        fair = FairRuntime(runtime, turns)

        async def one(number: int) -> str:
            ASKING.set(Asking(f"key {number % 7}"))
            try:
                return text(await said(fair))
            except TooManyRequests as error:
                return "later" if error.retry_after_seconds else "never"

        answers = await asyncio.gather(*(one(number) for number in range(1000)))
    assert most == 8
    assert (answers.count("Hello"), answers.count("later")) == (308, 692)
    assert turns.figures() == {}


async def test_a_name_that_comes_to_mean_another_address_is_not_followed_there(
    stand_in: StandIn, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = address.rpartition(":")[2]
    means = ["127.0.0.1"]

    def looked_up(*_: object, **__: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (means[0], int(port)))]

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    async with over(f"http://models.example:{port}") as runtime:
        assert text(await said(runtime)) == "Hello there"
        assert stand_in.sent[-1][2]["host"] == f"models.example:{port}"
        for means[0] in ("169.254.169.254", "8.8.8.8"):
            with pytest.raises(BackEndFailed, match=r"base_url: models\.example"):
                await said(runtime)
    assert len(stand_in.sent) == 1


async def test_a_template_of_a_persona_is_rendered_here_and_the_server_goes_on_with_the_text(
    stand_in: StandIn, address: str
) -> None:
    template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}<assistant>"
    async with over(address) as runtime:
        persona = Persona("Be Ada.", template, Options(max_tokens=9))
        await runtime.create_model("ada", ExistingModel("big"), persona)
        assert text(await said(runtime, "ada")) == "Hello there"
        body = stand_in.sent[-1][1]
        assert body["prompt"] == "<system>Be Ada.\n<user>Hello\n<assistant>"
        assert "messages" not in body
    async with over(address, dialect=PROVIDERS["openai"].dialect) as runtime:
        with pytest.raises(Unusable, match="its own template"):
            await runtime.create_model("ada", ExistingModel("big"), persona)


async def test_vllm_counts_exactly_and_goes_on_with_tokens(stand_in: StandIn, address: str) -> None:
    dialect = PROVIDERS["vllm"].dialect
    async with over(address, provider="vllm", dialect=dialect) as runtime:
        assert await runtime.count_tokens("big", HELLO) == TokenCount(6, exact=True)
        assert await runtime.tokenize_lengths("big", ["one", ""]) == [3, 0]
        async with aclosing(runtime.complete("big", "</s>", Options(max_tokens=4))) as stream:
            pieces = [piece async for piece in stream]
        assert pieces[-1].usage
        assert stand_in.sent[-1][1]["prompt"] == [1, *map(ord, "</s>")]
        with pytest.raises(PromptTooLong) as refused:
            await said(runtime, options=Options(num_ctx=16, max_tokens=16))
        assert refused.value.extra["prompt_tokens"] == 6


async def test_functions_go_over_the_wire_and_calls_come_back_in_pieces(
    stand_in: StandIn, address: str
) -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": CITY}}
    models = [RemoteModel("calling", "cellar", "calling", 4096, ABILITIES | {"tools"})]
    client = OpenAIClient("cellar", f"{address}/generic/v1", lambda: KEY)
    runtime = OpenAIStyleRuntime(client, Dialect(), Directory(models))
    pieces = await said(runtime, "calling", Options(tools=(tool,)))
    call = None
    for part in (one for piece in pieces for one in piece.calls):
        call = grown(call, part)
    assert call is not None
    assert call == ToolCall("c1", "weather", '{"city": "Rome"}')
    assert pieces[0].reasoning == "The weather, then."
    assert pieces[-1].usage
    assert pieces[-1].usage.finish_reason == "tool_calls"
    assert stand_in.sent[-1][1]["tools"] == [tool]
    answered = [
        *HELLO,
        Message("assistant", "", tool_calls=(call,)),
        Message("tool", "It is warm.", tool_call_id="c1"),
    ]
    await said(runtime, "calling", Options(tools=(tool,)), answered)
    _, asked, result = stand_in.sent[-1][1]["messages"]
    assert asked["tool_calls"][0]["function"]["arguments"] == '{"city": "Rome"}'
    assert result == {"role": "tool", "content": "It is warm.", "tool_call_id": "c1"}
    await runtime.close()


async def test_closing_an_answer_ends_it_there(stand_in: StandIn, address: str) -> None:
    async with over(address, "stalling") as runtime:
        stream = runtime.chat("stalling", HELLO, Options())
        assert (await anext(stream)).text
        assert stand_in.open == 1
        await stream.aclose()
        async with asyncio.timeout(60):
            while stand_in.open:
                await asyncio.sleep(0.01)


VALUES: dict[str, Any] = {
    "top_k": 5,
    "min_p": 0.1,
    "repeat_penalty": 1.1,
    "stop_token_ids": (7,),
    "stop": tuple("abcdef"),
}


@pytest.mark.parametrize("provider", sorted(REFUSES))
async def test_what_a_row_takes_is_sent_and_what_it_does_not_is_refused_here_and_there(
    stand_in: StandIn, address: str, provider: str
) -> None:
    dialect = PROVIDERS[provider].dialect
    careless = replace(dialect, takes=frozenset(BEYOND), stops=16, drop=())
    for name, value in VALUES.items():
        options = Options(**{name: value})
        takes = dialect.stops >= len(value) if name == "stop" else name in dialect.takes
        async with over(address, provider=provider, dialect=dialect) as runtime:
            if takes:
                await said(runtime, options=options)
                sent = stand_in.sent[-1][1][dialect.rename.get(name, name)]
                assert sent == (list(value) if isinstance(value, tuple) else value)
                continue
            stand_in.sent.clear()
            with pytest.raises(InvalidOption) as refused:
                await said(runtime, options=options)
            assert refused.value.extra["where"] == name
            assert not stand_in.sent
        async with over(address, provider=provider, dialect=careless) as runtime:
            with pytest.raises(InvalidOption):  # the stand-in's own
                await said(runtime, options=options)
            assert stand_in.sent


@pytest.mark.parametrize(
    "provider", [one for one in sorted(REFUSES) if PROVIDERS[one].dialect.stops < 16]
)
async def test_as_many_stops_as_a_row_takes_are_sent(address: str, provider: str) -> None:
    dialect = PROVIDERS[provider].dialect
    options = Options(stop=tuple("abcdef"[: dialect.stops]))
    async with over(address, provider=provider, dialect=dialect) as runtime:
        assert text(await said(runtime, options=options)) == "Hello there"


@pytest.mark.parametrize(
    ("provider", "sizes"),
    [
        ("generic", [25]),
        ("qwen", [10, 10, 5]),
        *((one, [16, 9]) for one in ("baichuan", "mistral")),
    ],
)
async def test_texts_are_embedded_so_many_at_once_as_the_row_says(
    stand_in: StandIn, address: str, provider: str, sizes: list[int]
) -> None:
    client = OpenAIClient("cellar", f"{address}/{provider}/v1", lambda: KEY)
    known = Directory([RemoteModel("v", "cellar", "v", 512, frozenset({"embed"}))])
    runtime = OpenAIStyleRuntime(client, PROVIDERS[provider].dialect, known)
    assert len(await runtime.embed("v", ["a"] * 25)) == 25
    assert [len(body["input"]) for _, body, _ in stand_in.sent] == sizes
    await runtime.close()


async def test_half_a_character_becomes_a_mark_that_can_be_written_down(address: str) -> None:
    async with over(address, "half") as runtime:
        assert text(await said(runtime, "half")) == "Hello \ufffd\ufffd!"


async def test_images_go_as_data_and_vectors_come_back_normalised_in_their_order(
    stand_in: StandIn, address: str
) -> None:
    async with over(address) as runtime:
        seen = [Message("user", "What is this?", images=(b"\x89PNG\r\n\x1a\n...",))]
        await said(runtime, messages=seen)
        content: Any = stand_in.sent[-1][1]["messages"][0]["content"]
        assert content[0] == {"type": "text", "text": "What is this?"}
        assert content[1]["image_url"]["url"].startswith("data:image/png;base64,iVBO")
        with pytest.raises(InvalidOption, match="PNG"):
            await said(runtime, messages=[Message("user", "?", images=(b"<svg>",))])
        with pytest.raises(InvalidOption, match="and not embed"):
            await runtime.embed("big", ["a"])
    model = RemoteModel("v", "cellar", "v", 512, frozenset({"embed"}))
    client = OpenAIClient("cellar", f"{address}/generic/v1", lambda: KEY)
    embedder = OpenAIStyleRuntime(client, Dialect(), Directory([model]))
    vectors = await embedder.embed("v", ["a", "b"])
    assert vectors == [pytest.approx([0.6, 0.8]), pytest.approx([0.3511, 0.9363], abs=1e-4)]
    await embedder.close()


@pytest.mark.parametrize(
    ("content", "tokens", "limit"),
    [
        (
            b'{"error": {"type": "exceed_context_size_error", "n_prompt_tokens": 90, "n_ctx": 64}}',
            90,
            64,
        ),
        (
            b'{"object": "error", "message": "This model\'s maximum context length is 64 tokens. '
            b'However, you requested 90 tokens in the messages", "code": 400}',
            90,
            64,
        ),
        (b'{"error": {"code": "1261", "message": "Prompt exceeds max length"}}', 0, 0),
        (b'{"error": "input is too long"}', 0, 0),
    ],
)
def test_a_prompt_that_is_too_long_is_known_in_the_words_of_several(
    content: bytes, tokens: int, limit: int
) -> None:
    error = refusal("cellar", "big", 400, content, "")
    assert isinstance(error, PromptTooLong)
    assert (error.extra["prompt_tokens"], error.extra["limit_tokens"]) == (tokens, limit)


def test_a_key_that_is_shown_is_not_shown_here() -> None:
    said = b'{"error": {"message": "sk\\/1+2 is not allowed"}}'
    error = refusal("cellar", "big", 500, said, "", key="sk/1+2")
    assert error.detail.endswith("*** is not allowed")
