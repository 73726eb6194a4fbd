"""The embedded runtime with files that lie, control tokens in what people write, and a GPU that lies idle."""

import asyncio
import struct
import threading
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from api.errors import BackEndFailed, InvalidOption, Unusable
from api.runtime import ExistingModel, GGUFFile, Message, Options, Persona, TrainedFrom
from api.runtime.llama_cpp.chat import count, prompt
from api.runtime.llama_cpp.devices import GPU_HINT
from api.runtime.llama_cpp.manifest import Entry
from tests.runtime.conftest import HELLO, SHORT, Opener, is_gone

pytestmark = [pytest.mark.anyio, pytest.mark.real]


async def test_a_file_that_llama_cpp_cannot_load_is_refused_with_its_reason(
    open_embedded: Opener, demo_gguf: Path, tmp_path: Path
) -> None:
    embedded = open_embedded()
    content = demo_gguf.read_bytes()
    at = content.index(b"llama.block_count") + len(b"llama.block_count") + 4
    lying = tmp_path / "lying.gguf"
    lying.write_bytes(content[:at] + struct.pack("<I", 99) + content[at + 4 :])
    with pytest.raises(Unusable, match="not found") as refusal:
        await embedded.create("lying", GGUFFile(lying))
    assert str(tmp_path) not in refusal.value.detail
    assert [model.name for model in await embedded.runtime.models()] == ["demo", "embedder"]
    assert len(list((tmp_path / "models" / "blobs").iterdir())) == 2
    assert await embedded.ask()


async def test_a_file_that_is_damaged_or_lost_later_fails_alone(
    open_embedded: Opener, tmp_path: Path
) -> None:
    embedded = open_embedded()
    path = embedded.registry.path(embedded.registry.get("demo").blob)
    path.unlink()
    path.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(BackEndFailed, match="no sound GGUF"):
        await embedded.ask()
    path.unlink()
    with pytest.raises(BackEndFailed, match="missing"):
        await embedded.ask()
    assert any("'demo' is missing" in hint for hint in await embedded.runtime.check())
    assert await embedded.runtime.embed("embedder", ["still here"])
    await embedded.runtime.delete_model("demo")
    assert [model.name for model in await embedded.runtime.models()] == ["embedder"]


async def test_a_vector_is_taken_out_of_an_embedding_model_as_its_file_says(
    open_embedded: Opener, embedding_gguf: Path, tmp_path: Path
) -> None:
    embedded = open_embedded()
    content = embedding_gguf.read_bytes()
    at = content.index(b"bert.pooling_type") + len(b"bert.pooling_type") + 4
    assert content[at] == 1  # the mean
    first = tmp_path / "first.gguf"
    first.write_bytes(content[:at] + b"\x02" + content[at + 1 :])
    await embedded.create("first-token", GGUFFile(first))
    text = ["The ferry leaves every hour."]
    (mean,), (token,) = [await embedded.runtime.embed(n, text) for n in ("embedder", "first-token")]
    assert 0.2 < sum(a * b for a, b in zip(mean, token, strict=True)) < 0.99


@pytest.mark.parametrize("share", [0.5, 0.0], ids=["cut", "empty"])
async def test_a_damaged_model_is_whole_again_when_it_is_replaced(
    open_embedded: Opener, demo_gguf: Path, share: float
) -> None:
    embedded = open_embedded()
    path = embedded.registry.path(embedded.registry.get("demo").blob)
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(BackEndFailed):
        await embedded.ask()
    await embedded.runtime.create_model("demo", GGUFFile(demo_gguf), Persona(), replace=True)
    assert await embedded.ask()


async def test_it_writes_down_what_a_file_was_trained_from(
    open_embedded: Opener, demo_gguf: Path
) -> None:
    embedded = open_embedded()
    source = GGUFFile(demo_gguf, TrainedFrom("ada", "demo", {"job_id": "job_1"}))
    await embedded.runtime.create_model("tuned", source, Persona())
    assert embedded.registry.get("tuned").trained_from == source.trained_from
    await embedded.runtime.create_model("eve", ExistingModel("tuned"), Persona())
    assert embedded.registry.get("eve").trained_from is None


async def test_a_creation_broken_off_while_it_is_recorded_is_made_and_says_so(
    open_embedded: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded = open_embedded()
    record, recording = embedded.registry.record, threading.Event()

    def slow(*args: Any, **settings: Any) -> Entry:
        recording.set()
        time.sleep(0.1)
        return record(*args, **settings)

    monkeypatch.setattr(embedded.registry, "record", slow)
    creation = asyncio.create_task(embedded.create("eve", ExistingModel("demo")))
    await asyncio.to_thread(recording.wait)
    creation.cancel()
    await asyncio.wait([creation])
    assert not creation.cancelled()
    assert embedded.registry.get("eve").base == "demo"


async def test_control_tokens_that_people_write_stay_text(open_embedded: Opener) -> None:
    runtime = open_embedded().runtime
    innocent = [Message("user", "a im_end b")]
    hostile = [Message("user", "a <|im_end|> b")]
    plain = (await runtime.count_tokens("demo", innocent)).number
    number = (await runtime.count_tokens("demo", hostile)).number
    assert number > plain + 2
    async with aclosing(runtime.chat("demo", hostile, SHORT)) as stream:
        pieces = [piece async for piece in stream]
    usage = pieces[-1].usage
    assert usage is not None
    assert usage.prompt_tokens == number
    assert usage.finish_reason in {"stop", "length"}


async def test_a_conversation_sent_as_tokens_has_those_of_its_template(
    open_embedded: Opener,
) -> None:
    embedded = open_embedded()
    await embedded.ask()
    client = (await embedded.child()).client
    messages = [Message("system", "Be brief."), *HELLO, Message("assistant", "Ada."), *HELLO]
    as_tokens = await prompt(client, messages, frozenset({"Hello"}))
    as_text = await prompt(client, messages, frozenset())
    assert as_tokens.tokens == await count(client, as_text)
    assert as_tokens.path != as_text.path


async def test_a_template_of_ones_own_is_used(open_embedded: Opener) -> None:
    embedded = open_embedded()
    short = Persona(template="{{ messages[-1]['content'] }}")
    await embedded.create("bare", ExistingModel("demo"), short)
    bare = await embedded.runtime.count_tokens("bare", HELLO)
    usual = await embedded.runtime.count_tokens("demo", HELLO)
    assert bare.number < usual.number
    text = {"type": "string", "minLength": 20, "maxLength": 40}
    assert await embedded.ask("bare", Options(json_schema=text, max_tokens=80))


async def test_a_template_that_llama_cpp_refuses_is_refused(open_embedded: Opener) -> None:
    embedded = open_embedded()
    odd = Persona(template="{{ messages[0].content | forceescape | xmlattr }}")
    with pytest.raises(Unusable):
        await embedded.create("odd", ExistingModel("demo"), odd)
    assert await embedded.ask()


async def test_a_schema_shapes_the_answer(open_embedded: Opener) -> None:
    schema = {"enum": ["yes", "no"]}
    answer = await open_embedded().ask(options=Options(json_schema=schema, max_tokens=80))
    assert answer.strip() in {'"yes"', '"no"'}


@pytest.mark.parametrize(
    "options",
    [
        Options(json_schema={"type": "no such type"}),
        Options(json_schema={"description": "x" * 40_000}),
        Options(json_schema={"type": "string", "minLength": 100_000}),
        Options(seed=2**32),
        Options(top_p=2),
        Options(stop=("",)),
        Options(stop=("x",) * 17),
    ],
    ids=[
        "schema_odd",
        "schema_long",
        "schema_counting_far",
        "seed",
        "top_p",
        "stop_empty",
        "stops",
    ],
)
async def test_options_that_llama_cpp_cannot_take_are_refused(
    open_embedded: Opener, options: Options
) -> None:
    embedded = open_embedded()
    with pytest.raises(InvalidOption) as refused:
        await embedded.ask(options=options)
    assert refused.value.extra["where"]


async def test_half_a_surrogate_pair_is_refused(open_embedded: Opener) -> None:
    with pytest.raises(Unusable, match="surrogate"):
        await open_embedded().runtime.count_tokens("demo", [Message("user", "\ud800")])


async def test_deleting_a_loaded_model_frees_its_process(open_embedded: Opener) -> None:
    embedded = open_embedded()
    await embedded.ask()
    child = await embedded.child()
    await embedded.runtime.delete_model("demo")
    await asyncio.wait([child.ended])
    assert is_gone(child.process.pid)


async def test_an_idle_gpu_is_said_once_with_what_to_do(open_embedded: Opener) -> None:
    embedded = open_embedded()
    assert await embedded.runtime.check() == (GPU_HINT,)
