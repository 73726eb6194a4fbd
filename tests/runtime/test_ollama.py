"""The Ollama runtime where the server is odd, late, gone, or says yes and means no."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from api.errors import (
    ApiError,
    BackEndFailed,
    InvalidName,
    InvalidOption,
    ModelDamaged,
    ModelNotFound,
    OutOfSpace,
    PromptTooLong,
    Unavailable,
    Unusable,
)
from api.names import CHECKING
from api.runtime import ExistingModel, Message, Options, Persona, Piece
from api.runtime.lengths import most_tokens
from api.runtime.ollama.errors import OwnFault
from api.runtime.ollama.models import read_model
from api.runtime.ollama.parameters import as_options, is_mark, parsed
from api.runtime.ollama.patience import Patience
from api.runtime.ollama.runtime import OllamaRuntime
from tests.runtime.scripted_ollama import (
    HANG_UP,
    SILENCE,
    Said,
    ScriptedOllama,
    last,
    lines,
    piece,
    runtime_over,
    scripted_ollama,
)

pytestmark = pytest.mark.anyio

HELLO = [Message("user", "Hello")]
OVERFLOW = {
    "error": {
        "code": 400,
        "message": "request (18017 tokens) exceeds the available context size (256 tokens)",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": 18017,
        "n_ctx": 256,
    }
}
NO_IMAGES = {"error": {"code": 500, "message": "image input is not supported - hint: ..."}}


@pytest.fixture
async def ollama() -> AsyncIterator[ScriptedOllama]:
    async with scripted_ollama() as server:
        yield server


@pytest.fixture
async def runtime(ollama: ScriptedOllama) -> AsyncIterator[OllamaRuntime]:
    runtime = runtime_over(ollama.url)
    yield runtime
    await runtime.close()


def error(status: int, text: Any) -> Said:
    return Said(status, json.dumps({"error": text}).encode())


async def ask(
    runtime: OllamaRuntime, options: Options | None = None, messages: list[Message] | None = None
) -> list[Piece]:
    async with aclosing(runtime.chat("chatty", messages or HELLO, options or Options())) as stream:
        return [piece async for piece in stream]


async def create(runtime: OllamaRuntime, base: str, persona: Persona) -> None:
    await runtime.create_model("new", ExistingModel(base), persona)


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (error(503, "server busy, please try again."), Unavailable, "busy"),
        (Said(404, b"404 page not found"), BackEndFailed, "no Ollama server"),
        (Said(403), BackEndFailed, "no Ollama server"),
        (Said(200, b"<html>Welcome</html>\n"), BackEndFailed, "no JSON"),
        (Said(200, b"[1]\n"), BackEndFailed, "no JSON"),
        (Said(200, b'{"message": {"content": "hal'), BackEndFailed, "no JSON"),
        (Said(200, b'{"message": 5}\n'), BackEndFailed, "cannot be read"),
        (lines(piece("a"), {"error": "unexpected EOF"}), BackEndFailed, "unexpected EOF"),
        (lines(piece("a"), then="drop"), BackEndFailed, "in the middle"),
        (lines(*[piece("\n")] * 31), BackEndFailed, "broke the answer off"),
        (error(500, json.dumps(NO_IMAGES)), InvalidOption, "image input"),
        (error(400, '"chatty" does not support thinking'), InvalidOption, "thinking"),
        (error(500, 'option "seed" must be of type integer'), InvalidOption, "seed"),
        (error(404, "model 'chatty' not found"), ModelNotFound, "chatty"),
        (error(500, "llama-server process has terminated"), OwnFault, "terminated"),
    ],
)
async def test_a_failure_of_the_server_becomes_the_right_error(
    runtime: OllamaRuntime, ollama: ScriptedOllama, said: Said, kind: type[ApiError], words: str
) -> None:
    ollama.script("/api/chat", said)
    with pytest.raises(kind, match=words) as failure:
        await ask(runtime)
    assert type(failure.value) is kind


async def test_a_busy_server_is_worth_another_try(
    runtime: OllamaRuntime, ollama: ScriptedOllama
) -> None:
    ollama.script("/api/chat", error(503, "server busy"))
    with pytest.raises(Unavailable) as failure:
        await ask(runtime)
    assert failure.value.retry_after_seconds


async def test_an_overflow_told_as_json_in_a_text_has_both_numbers(
    runtime: OllamaRuntime, ollama: ScriptedOllama
) -> None:
    ollama.script("/api/chat", error(400, json.dumps(OVERFLOW)))
    with pytest.raises(PromptTooLong) as failure:
        await ask(runtime)
    assert failure.value.extra == {"prompt_tokens": 18017, "limit_tokens": 256}


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (lines({"status": "parsing"}, {"error": "supplied file was not in GGUF format"}), Unusable),
        (lines({"status": "x"}, {"error": "write: no space left on device"}), OutOfSpace),
        (lines({"status": "x"}, {"error": "pull model manifest: no such host"}), BackEndFailed),
        (lines({"status": "parsing GGUF"}), BackEndFailed),
        (error(400, "template error: template: :1: unclosed action"), Unusable),
        (error(400, "invalid model name"), InvalidName),
    ],
)
async def test_a_creation_that_ends_with_an_error_has_not_succeeded(
    runtime: OllamaRuntime, ollama: ScriptedOllama, said: Said, kind: type[ApiError]
) -> None:
    ollama.script("/api/create", said)
    with pytest.raises(ApiError) as failure:
        await create(runtime, "chatty", Persona(system="Be kind."))
    assert type(failure.value) is kind
    assert len(ollama.sent("/api/create")) == 1


async def test_a_template_that_breaks_off_is_not_blamed_on_the_file(
    runtime: OllamaRuntime, ollama: ScriptedOllama
) -> None:
    ollama.script("/api/create", error(400, "template error: template: :1: unexpected EOF"))
    with pytest.raises(Unusable, match="Go template"):
        await create(runtime, "chatty", Persona(template="{{ range .Messages }}"))


async def test_a_server_that_is_not_there_is_named_with_its_setting() -> None:
    runtime = runtime_over("http://127.0.0.1:9")
    with pytest.raises(Unavailable, match="LLM_FASTAPI_OLLAMA_URL"):
        await runtime.check()
    await runtime.close()


@pytest.mark.parametrize("url", ["http://ollama:port", "", "http://", "http://a b\x00"])
async def test_an_address_that_is_none_is_named_with_its_setting(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "http://another:11434")
    with pytest.raises(Unavailable, match="LLM_FASTAPI_OLLAMA_URL"):
        runtime_over(url)


@pytest.mark.parametrize(
    ("user", "sent"), [("", None), ("ada:p%40ss@", "Basic YWRhOnBAc3M=")], ids=["none", "one"]
)
async def test_the_password_is_the_address_own(
    ollama: ScriptedOllama, monkeypatch: pytest.MonkeyPatch, user: str, sent: str | None
) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", "another servers")
    runtime = runtime_over(ollama.url.replace("//", f"//{user}"))
    ollama.script("/api/chat", lines(last()))
    await ask(runtime)
    await runtime.close()
    for head in ollama.heads:
        headers = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:] if line)
        assert headers.get("authorization") == (sent and sent.lower())


async def test_a_connection_lost_before_the_first_piece_is_tried_again(
    runtime: OllamaRuntime, ollama: ScriptedOllama
) -> None:
    ollama.script("/api/chat", HANG_UP, lines(piece("Hi"), last()))
    assert (await ask(runtime))[0].text == "Hi"


async def test_a_lost_deletion_is_not_tried_again(
    runtime: OllamaRuntime, ollama: ScriptedOllama
) -> None:
    ollama.script("/api/delete", HANG_UP)
    with pytest.raises(Unavailable):
        await runtime.delete_model("chatty")
    assert len(ollama.sent("/api/delete")) == 1


@pytest.mark.parametrize("said", [SILENCE, lines(piece("a"), then="hang")], ids=["first", "later"])
async def test_a_silent_server_is_given_up(ollama: ScriptedOllama, said: Said) -> None:
    runtime = runtime_over(ollama.url, start_seconds=0.2, stall_seconds=0.2)
    ollama.script("/api/chat", said)
    with pytest.raises(Unavailable, match="said nothing"):
        await ask(runtime)
    await ollama.hung_up.wait()
    await runtime.close()


async def test_a_bound_begins_anew_with_a_sign_of_life() -> None:
    patience = Patience()
    async with patience.wait(60) as bound:
        before = bound.when() or 0
        await asyncio.sleep(0.001)
        patience.heard()
        assert (bound.when() or 0) > before


async def test_who_waits_for_a_silent_server_waits_no_longer_than_said() -> None:
    async def wait() -> None:
        async with Patience().wait(0.05):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await wait()


async def test_who_waits_behind_other_requests_waits_on(ollama: ScriptedOllama) -> None:
    runtime = runtime_over(ollama.url, start_seconds=0, stall_seconds=2)
    ollama.script("/api/chat", replace(lines(piece("Hi"), last()), waits=True))
    ollama.script("/api/embed", lines({"model": "vectors", "embeddings": [[1.0]]}))
    waiting = asyncio.create_task(ask(runtime))
    for _ in range(6):
        await asyncio.sleep(0.4)
        await runtime.embed("vectors", ["one"])
    ollama.may_answer.set()
    assert (await waiting)[0].text == "Hi"
    await runtime.close()


async def test_closing_the_answer_hangs_up(runtime: OllamaRuntime, ollama: ScriptedOllama) -> None:
    ollama.script("/api/chat", lines(piece("a"), then="hang"))
    stream = runtime.chat("chatty", HELLO, Options())
    await anext(stream)
    await stream.aclose()
    await ollama.hung_up.wait()


async def test_what_is_sent_leaves_nothing_to_the_servers_choice(
    runtime: OllamaRuntime, ollama: ScriptedOllama
) -> None:
    ollama.script("/api/chat", lines(piece("Hi"), last(reason="length")))
    pieces = await ask(runtime, Options(max_tokens=7, stop=("END",), json_schema={"enum": [1]}))
    (body,) = ollama.sent("/api/chat")
    assert body["options"] == {
        "num_ctx": 4096,
        "num_predict": 7,
        "temperature": 0.5,
        "stop": ["END", "<|end|>"],
    }
    assert (body["truncate"], body["shift"], body["think"]) == (False, False, False)
    assert (body["keep_alive"], body["format"]) == (600, {"enum": [1]})
    assert pieces[-1].usage
    assert pieces[-1].usage.finish_reason == "length"


async def test_a_prompt_that_may_not_fit_is_counted_first(
    runtime: OllamaRuntime, ollama: ScriptedOllama
) -> None:
    ollama.script("/api/chat", lines(last(4000, 1)), lines(piece("Hi"), last(4000)))
    await ask(runtime, messages=[Message("user", "word " * 3000)])
    counted, asked = ollama.sent("/api/chat")
    assert (counted["stream"], counted["options"]["num_predict"]) == (False, 1)
    assert asked["options"]["num_predict"] == 96
    assert counted["shift"] is asked["shift"] is False  # else the server loads the model anew


async def test_a_count_has_the_context_of_its_answer(
    runtime: OllamaRuntime, ollama: ScriptedOllama
) -> None:
    ollama.script("/api/chat", lines(last()))
    await runtime.count_tokens("chatty", HELLO)
    await runtime.count_tokens("chatty", HELLO, 5000)
    await ask(runtime, Options(num_ctx=5000))
    contexts = [body["options"]["num_ctx"] for body in ollama.sent("/api/chat")]
    assert contexts == [4096, 8192, 8192]


async def test_personas_over_one_base_are_counted_in_one_context(
    runtime: OllamaRuntime, ollama: ScriptedOllama
) -> None:
    shared = {**ollama.shown["chatty"], "modelfile": "# FROM chatty\nFROM /blobs/sha256-1\n"}
    ollama.shown |= {"chatty": shared, "pirate": shared}
    ollama.script("/api/chat", lines(last()))
    await ask(runtime, Options(num_ctx=5000))
    await runtime.count_tokens("pirate", HELLO, 5000)
    assert ollama.sent("/api/chat")[-1]["options"]["num_ctx"] == 8192


async def test_system_turns_are_sent_first(runtime: OllamaRuntime, ollama: ScriptedOllama) -> None:
    ollama.script("/api/chat", lines(piece("Hi"), last()))
    await ask(runtime, messages=[*HELLO, Message("system", "Be kind."), *HELLO])
    (body,) = ollama.sent("/api/chat")
    assert [turn["role"] for turn in body["messages"]] == ["system", "user", "user"]


@pytest.mark.parametrize(
    "template",
    [
        "{{ if .System }}{{ end }}{{ range .Messages }}" + "x" * 2000 + "{{ .Content }}{{ end }}",
        "{% for m in messages %}{{ '" + "x" * 2000 + "' + m.content }}{% endfor %}",
    ],
    ids=["go", "jinja"],
)
def test_what_a_template_writes_counts_once_a_turn(template: str) -> None:
    model = read_model({"name": "m"}, {"template": template})
    assert most_tokens(model.info.template, [*HELLO, *HELLO], Options()) >= 4000


async def test_a_model_that_cannot_be_read_hides_no_other(
    runtime: OllamaRuntime, ollama: ScriptedOllama, caplog: pytest.LogCaptureFixture
) -> None:
    ollama.shown["odd"] = {"model_info": 5}
    with caplog.at_level(logging.WARNING, "api.runtime"):
        assert [model.name for model in await runtime.models()] == ["chatty", "vectors"]
    assert "odd" in caplog.text
    with pytest.raises(ModelNotFound, match="chatty"):
        await runtime.show("nobody")


async def test_a_model_that_cannot_be_read_can_be_deleted(
    runtime: OllamaRuntime, ollama: ScriptedOllama
) -> None:
    ollama.shown["odd"] = {"model_info": 5}
    ollama.script("/api/delete", Said())
    await runtime.delete_model("odd")
    assert ollama.sent("/api/delete") == [{"model": "odd:latest"}]


async def test_a_model_that_is_damaged_and_not_listed_can_be_deleted(
    runtime: OllamaRuntime, ollama: ScriptedOllama
) -> None:
    await runtime.delete_model("unlisted")
    assert ollama.sent("/api/delete") == [{"model": "unlisted"}]
    ollama.script("/api/delete", error(404, "model 'nobody' not found"))
    with pytest.raises(ModelNotFound, match="chatty"):
        await runtime.delete_model("nobody")


async def test_a_model_that_is_listed_and_not_shown_is_damaged(
    runtime: OllamaRuntime, ollama: ScriptedOllama
) -> None:
    ollama.script("/api/show", error(404, "model 'chatty' not found"))
    with pytest.raises(ModelDamaged, match="damaged"):
        await runtime.show("chatty")


async def test_a_model_that_a_proxy_keeps_from_being_shown_is_not_called_damaged(
    runtime: OllamaRuntime, ollama: ScriptedOllama
) -> None:
    ollama.script("/api/show", error(502, "upstream"))
    with pytest.raises(BackEndFailed) as failure:
        await runtime.show("chatty")
    assert not isinstance(failure.value, ModelDamaged)


PROXY = b"<html>Bad Gateway</html>"


@pytest.mark.parametrize(
    "said",
    [
        Said(502, PROXY),
        error(502, "upstream"),
        error(504, "late"),
        Said(500, PROXY),
        Said(404, b"404 page not found"),
        Said(200, PROXY),
        error(503, "server busy"),
    ],
)
async def test_a_model_that_something_else_keeps_from_being_shown_is_not_deleted_to_be_replaced(
    runtime: OllamaRuntime, ollama: ScriptedOllama, said: Said
) -> None:
    ollama.script("/api/show", said)
    with pytest.raises((BackEndFailed, Unavailable)):
        await runtime.create_model("chatty", ExistingModel("vectors"), Persona(), replace=True)
    assert not ollama.sent("/api/delete")
    assert not ollama.sent("/api/create")


@pytest.mark.parametrize("said", [error(500, "once"), error(404, "model 'chatty' not found")])
async def test_a_model_that_cannot_be_shown_only_once_outlives_a_replacement_that_fails(
    runtime: OllamaRuntime, ollama: ScriptedOllama, said: Said
) -> None:
    ollama.script("/api/show", said, lines(ollama.shown["chatty"]))
    ollama.script("/api/create", error(500, "write: no space left on device"))
    with pytest.raises(OutOfSpace):
        await runtime.create_model("chatty", ExistingModel("chatty"), Persona(), replace=True)
    assert ollama.sent("/api/delete") == [{"model": f"chatty{CHECKING}"}]


GONE = 'do embedding request: Post "http://127.0.0.1:46081/v1/embeddings": EOF'
LOADING = "llama-server process has terminated: signal: killed"


@pytest.mark.parametrize(("status", "said"), [(400, GONE), (500, LOADING)])
async def test_a_process_of_the_embedding_model_that_died_is_asked_again_and_then_away(
    runtime: OllamaRuntime, ollama: ScriptedOllama, status: int, said: str
) -> None:
    vectors = lines({"model": "vectors", "embeddings": [[1.0]]})
    ollama.script("/api/embed", error(status, said), vectors, error(status, said))
    assert await runtime.embed("vectors", ["text"]) == [[1.0]]
    with pytest.raises(Unavailable, match="away") as failure:
        await runtime.embed("vectors", ["text"])
    assert failure.value.retry_after_seconds


async def test_a_text_that_the_embedding_model_refuses_is_no_outage(
    runtime: OllamaRuntime, ollama: ScriptedOllama
) -> None:
    ollama.script("/api/embed", error(400, "invalid input type"))
    with pytest.raises(InvalidOption):
        await runtime.embed("vectors", ["text"])


async def test_a_larger_context_is_one_of_few_sizes(
    runtime: OllamaRuntime, ollama: ScriptedOllama
) -> None:
    ollama.script("/api/chat", lines(piece("Hi"), last()))
    await ask(runtime, Options(num_ctx=5000))
    assert ollama.sent("/api/chat")[0]["options"]["num_ctx"] == 8192


async def test_a_model_is_read_from_what_the_server_shows(runtime: OllamaRuntime) -> None:
    chatty, vectors = await runtime.models()
    assert chatty.capabilities == {"chat", "json_schema"}
    assert (chatty.context_length, chatty.quantization) == (8192, "Q4_K_M")
    assert chatty.persona.parameters == Options(temperature=0.5)
    assert vectors.capabilities == {"embed"}


async def test_only_what_changed_is_asked_for_again(
    runtime: OllamaRuntime, ollama: ScriptedOllama
) -> None:
    for _ in range(3):
        await runtime.models()
    assert len(ollama.sent("/api/show")) == 2


async def test_a_missing_base_is_never_fetched_by_the_server(
    runtime: OllamaRuntime, ollama: ScriptedOllama
) -> None:
    with pytest.raises(ModelNotFound, match="chatty"):
        await create(runtime, "nobody", Persona())
    assert not ollama.sent("/api/create")


@pytest.mark.parametrize(
    ("persona", "kind"),
    [
        (Persona(template="{% for m in messages %}{{ m.content }}{% endfor %}"), Unusable),
        (Persona(parameters=Options(json_schema={"enum": [1]})), InvalidOption),
        (Persona(parameters=Options(tools=())), InvalidOption),
    ],
    ids=["jinja", "schema", "tools"],
)
async def test_a_persona_that_ollama_cannot_keep_is_refused(
    runtime: OllamaRuntime, ollama: ScriptedOllama, persona: Persona, kind: type[ApiError]
) -> None:
    with pytest.raises(kind):
        await create(runtime, "chatty", persona)
    assert not ollama.sent("/api/create")


async def test_stops_of_the_template_stay_when_a_persona_has_its_own(
    runtime: OllamaRuntime, ollama: ScriptedOllama
) -> None:
    ollama.script("/api/create", lines({"status": "success"}))
    await create(runtime, "chatty", Persona(parameters=Options(stop=("END",), max_tokens=9)))
    (body,) = ollama.sent("/api/create")
    assert body["from"] == "chatty:latest"
    assert body["parameters"] == {"stop": ["END", "<|end|>"], "num_predict": 9}


async def test_an_empty_list_clears_the_stops_of_the_base(
    runtime: OllamaRuntime, ollama: ScriptedOllama
) -> None:
    ollama.script("/api/create", lines({"status": "success"}))
    await create(runtime, "chatty", Persona(parameters=Options(stop=())))
    assert ollama.sent("/api/create")[0]["parameters"] == {"stop": ["<|end|>"]}


async def test_a_template_that_the_server_would_not_use_is_refused(
    runtime: OllamaRuntime, ollama: ScriptedOllama
) -> None:
    ollama.script("/api/create", lines({"status": "success"}))
    ollama.script("/api/delete", Said())
    chatty = lines(ollama.shown["chatty"])
    ollama.script("/api/show", chatty, lines({"template": "{% for m in messages %}"}))
    with pytest.raises(Unusable, match="Ollama uses the chat template of the model's file"):
        await create(runtime, "chatty", Persona(template="{{ .Prompt }}"))
    made = ollama.sent("/api/create")[0]["model"]
    assert made != "new"
    assert ollama.sent("/api/delete") == [{"model": made}]
    assert not ollama.sent("/api/copy")


async def test_vectors_that_are_missing_are_noticed(
    runtime: OllamaRuntime, ollama: ScriptedOllama
) -> None:
    ollama.script("/api/embed", lines({"model": "vectors", "embeddings": [[1.0]]}))
    with pytest.raises(BackEndFailed):
        await runtime.embed("vectors", ["one", "two"])
    (body,) = ollama.sent("/api/embed")
    assert (body["truncate"], body["options"]) == (False, {"num_ctx": 512})


async def test_a_model_that_should_be_there_is_missed_with_the_command(
    runtime: OllamaRuntime, ollama: ScriptedOllama
) -> None:
    ollama.script("/api/version", lines({"version": "0.32.15"}))
    (hint,) = await runtime.check()
    assert "ollama pull minilm" in hint


@pytest.mark.parametrize(("version", "hints"), [("0.12.5", 2), ("0.12.6-rc0", 1), ("0.0.0", 1)])
async def test_a_server_that_cuts_silently_is_told_of(
    runtime: OllamaRuntime, ollama: ScriptedOllama, version: str, hints: int
) -> None:
    ollama.script("/api/version", lines({"version": version}))
    found = await runtime.check()
    assert len(found) == hints
    assert any(version in hint for hint in found) == (hints == 2)


async def test_half_a_surrogate_pair_is_refused(runtime: OllamaRuntime) -> None:
    for attempt in (
        ask(runtime, messages=[Message("user", "\ud800")]),
        runtime.embed("vectors", ["\ud800"]),
        runtime.tokenize_lengths("vectors", ["\ud800"]),
    ):
        with pytest.raises(Unusable, match="surrogate"):
            await attempt


async def test_vocabularies_that_the_server_does_not_tell_are_estimated_high(
    runtime: OllamaRuntime,
) -> None:
    texts = ["", "Interest rates rose.", "1234", "Grüße"]
    lengths = await runtime.tokenize_lengths("chatty", texts)
    assert lengths[0] == 0
    assert all(n >= least for n, least in zip(lengths, (0, 4, 4, 3), strict=True))


def test_parameters_are_read_as_go_writes_them() -> None:
    text = 'stop    "<|end|>"\nstop    "a \\"b\\"\\n"\nseed    4.294967294e+09\nnum_ctx  1e+06\ntop_k 40'
    parameters = parsed(text)
    assert parameters["stop"] == ["<|end|>", 'a "b"\n']
    options = as_options(parameters, "{{ .Content }}<|end|>", 8192)
    assert options == Options(seed=2**32 - 2, num_ctx=8192, top_k=40, stop=('a "b"\n',))


def test_a_models_own_options_that_no_request_may_have_are_left_out() -> None:
    text = "seed 1e999\nnum_predict 1e6\nnum_ctx 4\ntop_p 0.9\ntemperature nan"
    assert as_options(parsed(text), "", 8192) == Options(max_tokens=8192, top_p=0.9)
    assert as_options(parsed("seed 5000000000\ntemperature 9"), "", 8192) == Options()


def test_a_mark_that_a_template_builds_of_the_role_is_one() -> None:
    template = "{{ range .Messages }}<|{{ .Role }}|>{{ .Content }}{{ end }}"
    assert is_mark("<|user|>", template)
    assert not is_mark("<|nobody|>", template)
