"""Models made in an Ollama server speak like the file they were made of. Runs over the double."""

import asyncio
import hashlib
import json
import logging
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from api.errors import ModelNotFound, Unusable
from api.names import CHECKING
from api.runtime import ExistingModel, GGUFFile, Message, ModelRuntime, Options, Persona, Usage
from api.runtime.llama_cpp.child import Limits
from api.runtime.llama_cpp.children import Children
from api.runtime.llama_cpp.registry import Registry
from api.runtime.llama_cpp.runtime import LlamaCppRuntime
from api.runtime.ollama.client import OllamaClient
from api.runtime.ollama.parameters import parsed
from api.runtime.ollama.runtime import OllamaRuntime
from tests.contracts.ollama_server import ollama_runtime
from tests.ollama_double.running import running_double
from tests.processes import children_running
from tests.tiny_vision import IMAGE_TOKENS, MODEL, PROJECTOR, png

pytestmark = [pytest.mark.anyio, pytest.mark.real]

GREEDY = Options(temperature=0, seed=0, max_tokens=16)
ASK = Message("user", "Hello, who are you?")
CONVERSATIONS = (
    [ASK],
    [Message("system", "Be brief.\nBe kind."), ASK],
    [ASK, Message("assistant", "I am a model."), Message("user", "What is 2 + 2?")],
)
CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TEXTS = (
    "The quick brown fox jumps over the lazy dog. " * 3,
    "Schöne Grüße aus Köln; naïve café résumé, 1,234.50 EUR (12 %)!",
    "日本語のテキスト と English",
    "x" * 150,
    "{'a': [1, 2], 'b': null}\n\n\tdef f(x): return x**2",
    "",
)


@pytest.fixture
async def runtime(ollama_double: str) -> AsyncIterator[OllamaRuntime]:
    runtime = ollama_runtime(ollama_double)
    yield runtime
    await runtime.close()


@pytest.fixture
async def slow(
    ollama_of_two: Callable[[Path], None], tmp_path: Path
) -> AsyncIterator[OllamaRuntime]:
    """Over a server that takes its time to create."""
    ollama_of_two(tmp_path / "slow")
    with running_double(tmp_path / "slow", create_pause_seconds=0.05) as url:
        runtime = ollama_runtime(url)
        yield runtime
        await runtime.close()


@pytest.fixture
async def embedded(
    registry_of_two: Callable[[Path], None], tmp_path: Path
) -> AsyncIterator[LlamaCppRuntime]:
    registry_of_two(tmp_path / "embedded")
    children = Children(Limits(threads=1), most=2, idle_seconds=60)
    runtime = LlamaCppRuntime(Registry(tmp_path / "embedded"), children, context_length=2048)
    yield runtime
    await runtime.close()


async def create(
    runtime: OllamaRuntime, name: str, source: ExistingModel | GGUFFile, persona: Persona
) -> None:
    await runtime.create_model(name, source, persona)


async def ask(
    runtime: ModelRuntime, name: str, messages: list[Message]
) -> tuple[str, Usage | None]:
    async with aclosing(runtime.chat(name, messages, GREEDY)) as stream:
        pieces = [piece async for piece in stream]
    return "".join(piece.text for piece in pieces), pieces[-1].usage


async def test_a_model_of_a_file_answers_as_the_file_does(
    runtime: OllamaRuntime, embedded: LlamaCppRuntime, demo_gguf: Path
) -> None:
    await create(runtime, "mine", GGUFFile(demo_gguf), Persona())
    for messages in CONVERSATIONS:
        assert await ask(runtime, "mine", messages) == await ask(embedded, "demo", messages)


async def test_a_model_with_a_projector_sees(runtime: OllamaRuntime, tiny_vision: Path) -> None:
    model, projector = tiny_vision / MODEL, tiny_vision / PROJECTOR
    await create(runtime, "eye", GGUFFile(model, projector=projector), Persona())
    await create(runtime, "painter", ExistingModel("eye"), Persona("You paint."))
    for name in ("eye", "painter"):
        assert "images" in (await runtime.show(name)).capabilities
        _, blind = await ask(runtime, name, [Message("user", "What?")])
        _, seen = await ask(runtime, name, [Message("user", "What?", (png(),))])
        assert blind
        assert seen
        assert seen.prompt_tokens == blind.prompt_tokens + IMAGE_TOKENS
    with pytest.raises(Unusable, match="holds a model"):
        await create(runtime, "odd", GGUFFile(model, projector=model), Persona())


async def test_a_model_of_a_file_is_not_punished_for_repeating(
    runtime: OllamaRuntime, ollama_double: str, demo_gguf: Path
) -> None:
    await create(runtime, "mine", GGUFFile(demo_gguf), Persona())
    client = OllamaClient(ollama_double, start_seconds=60)
    parameters = parsed(str((await client.show("mine"))["parameters"]))
    await client.close()
    assert parameters["repeat_penalty"] == ["1"]


async def test_texts_are_counted_as_llama_cpp_counts_them(
    runtime: OllamaRuntime, embedded: LlamaCppRuntime
) -> None:
    counted = await runtime.tokenize_lengths("embedder", TEXTS)
    assert counted == await embedded.tokenize_lengths("embedder", TEXTS)


async def test_a_file_that_the_server_has_is_not_sent_again(
    runtime: OllamaRuntime, demo_gguf: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(demo_gguf.read_bytes())
    await create(runtime, "one", GGUFFile(mine), Persona())
    blob = next((tmp_path / "ollama" / "blobs").glob(f"sha256-{_sha256(mine)}"))
    sent_at = blob.stat().st_mtime_ns
    await create(runtime, "two", GGUFFile(mine), Persona())
    assert blob.stat().st_mtime_ns == sent_at


async def test_a_persona_shows_its_own_stops_and_keeps_the_templates(
    runtime: OllamaRuntime, demo_gguf: Path
) -> None:
    await create(runtime, "mine", GGUFFile(demo_gguf), Persona())
    persona = Persona(parameters=Options(stop=("END",)))
    await create(runtime, "pirate", ExistingModel("mine"), persona)
    assert (await runtime.show("mine")).persona.parameters.stop is None
    assert (await runtime.show("pirate")).persona.parameters.stop == ("END",)
    text, usage = await ask(runtime, "pirate", [ASK])
    assert usage
    assert (text, usage) == await ask(runtime, "mine", [ASK])


async def test_a_go_template_that_the_files_own_outdoes_is_refused(
    runtime: OllamaRuntime, demo_gguf: Path, tmp_path: Path
) -> None:
    able = tmp_path / "able.gguf"
    able.write_bytes(with_template(demo_gguf.read_bytes(), "{# tools strftime_now #}" + CHATML))
    bare = Persona(template="{{ range .Messages }}{{ .Content }}{{ end }}")
    await create(runtime, "able", GGUFFile(able), Persona())
    with pytest.raises(Unusable, match="chat template of the model's file"):
        await create(runtime, "bare", ExistingModel("able"), bare)
    assert [model.name for model in await runtime.models()] == ["able", "demo", "embedder"]


async def test_a_go_template_of_ones_own_is_used(runtime: OllamaRuntime) -> None:
    bare = Persona(template="{{ range .Messages }}{{ .Content }}{{ end }}")
    await create(runtime, "bare", ExistingModel("demo"), bare)
    counts = [(await runtime.count_tokens(name, [ASK])).number for name in ("bare", "demo")]
    assert counts[0] < counts[1]


async def test_a_go_template_that_does_not_parse_is_refused(runtime: OllamaRuntime) -> None:
    with pytest.raises(Unusable, match="Go template"):
        await create(
            runtime, "odd", ExistingModel("demo"), Persona(template="{{ range .Messages }")
        )


async def test_a_template_that_the_server_replaces_is_logged(
    runtime: OllamaRuntime, demo_gguf: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    odd = tmp_path / "odd.gguf"
    odd.write_bytes(with_template(demo_gguf.read_bytes(), "{# strftime_now #}" + CHATML))
    with caplog.at_level(logging.WARNING, "api.runtime"):
        await create(runtime, "odd", GGUFFile(odd), Persona())
    assert "template of its own" in caplog.text


async def test_a_creation_that_is_broken_off_is_taken_back_though_the_server_goes_on(
    slow: OllamaRuntime, demo_gguf: Path
) -> None:
    creation = asyncio.create_task(create(slow, "half", GGUFFile(demo_gguf), Persona()))
    await asyncio.wait([creation], timeout=0.2)  # the server is at it
    creation.cancel()
    await asyncio.wait([creation])
    await create(slow, "whole", GGUFFile(demo_gguf), Persona())  # takes as long as the other does
    await until_there_are(slow, ["demo", "embedder", "whole"])


async def test_a_creation_that_is_broken_off_leaves_what_it_was_to_replace(
    slow: OllamaRuntime,
) -> None:
    await create(slow, "ada", ExistingModel("demo"), Persona(system="One."))
    again = slow.create_model("ada", ExistingModel("demo"), Persona(system="Two."), replace=True)
    creation = asyncio.create_task(again)
    await asyncio.wait([creation], timeout=0.1)
    creation.cancel()
    await asyncio.wait([creation])
    await asyncio.sleep(0.5)
    await until_there_are(slow, ["ada", "demo", "embedder"])
    assert (await slow.show("ada")).persona.system == "One."


async def test_what_was_broken_off_is_not_taken_back_once_it_is_made_anew(
    slow: OllamaRuntime,
) -> None:
    checked = f"ada{CHECKING}"
    creation = asyncio.create_task(create(slow, checked, ExistingModel("demo"), Persona()))
    await asyncio.wait([creation], timeout=0.1)
    creation.cancel()
    await asyncio.wait([creation])
    await create(slow, checked, ExistingModel("demo"), Persona(system="Anew."))
    await asyncio.sleep(1)
    assert (await slow.show(checked)).persona.system == "Anew."


async def until_there_are(runtime: OllamaRuntime, names: list[str]) -> None:
    """Wait until the server has these models and no other; fails when that takes too long."""
    async with asyncio.timeout(60):
        while [model.name for model in await runtime.models()] != names:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("harm", ["weights missing", "weights cut", "configuration missing"])
async def test_a_damaged_model_can_be_replaced_and_deleted(
    runtime: OllamaRuntime, demo_gguf: Path, tmp_path: Path, harm: str
) -> None:
    await runtime.rename("demo", "mine")
    part, _, what = harm.partition(" ")
    blob = _blob_of("mine", tmp_path / "ollama", part)
    content = blob.read_bytes()
    blob.unlink()
    if what == "cut":
        blob.write_bytes(content[: len(content) // 2])
    assert "mine" not in [model.name for model in await runtime.models()]
    await runtime.create_model("mine", GGUFFile(demo_gguf), Persona(), replace=True)
    assert (await ask(runtime, "mine", [ASK]))[0]
    _blob_of("mine", tmp_path / "ollama", part).unlink()
    await runtime.delete_model("mine")
    with pytest.raises(ModelNotFound):
        await runtime.delete_model("mine")


async def test_a_model_that_was_damaged_after_it_was_read_is_whole_again_when_it_is_replaced(
    runtime: OllamaRuntime, demo_gguf: Path, tmp_path: Path
) -> None:
    await runtime.show("demo")
    blob = _blob_of("demo", tmp_path / "ollama", "weights")
    content = blob.read_bytes()
    blob.unlink()
    blob.write_bytes(content[: len(content) // 2])
    await runtime.create_model("demo", GGUFFile(demo_gguf), Persona(), replace=True)
    assert (await ask(runtime, "demo", [ASK]))[0]


async def test_texts_are_embedded_though_the_process_of_their_model_is_killed_meanwhile(
    runtime: OllamaRuntime,
) -> None:
    others = children_running("llama_child")
    before = await runtime.embed("embedder", ["text"])
    (child,) = [one for one in children_running("llama_child") if one not in others]
    child.suspend()
    embedding = asyncio.create_task(runtime.embed("embedder", ["text"]))
    await asyncio.wait([embedding], timeout=0.5)
    child.kill()
    assert await embedding == before


async def test_released_memory_is_free(runtime: OllamaRuntime, ollama_double: str) -> None:
    await ask(runtime, "demo", [ASK])
    await runtime.embed("embedder", ["text"])
    await runtime.release_memory()
    assert await loaded(ollama_double) == []
    await runtime.release_memory()


@pytest.mark.parametrize("change", ["rename", "delete", "replace"])
async def test_what_was_loaded_under_a_name_that_is_gone_is_released(
    runtime: OllamaRuntime, ollama_double: str, demo_gguf: Path, tmp_path: Path, change: str
) -> None:
    await ask(runtime, "demo", [ASK])
    if change == "rename":
        await runtime.rename("demo", "other")
    elif change == "delete":
        await runtime.delete_model("demo")
    else:
        other = tmp_path / "other.gguf"
        other.write_bytes(with_template(demo_gguf.read_bytes(), CHATML))
        await runtime.create_model("demo", GGUFFile(other), Persona(), replace=True)
    await runtime.release_memory()
    assert await loaded(ollama_double) == []


async def test_a_persona_made_anew_leaves_its_base_loaded(
    runtime: OllamaRuntime, ollama_double: str
) -> None:
    await create(runtime, "pirate", ExistingModel("demo"), Persona(system="Arr."))
    await ask(runtime, "pirate", [ASK])
    again = Persona(system="Ahoy.")
    await runtime.create_model("pirate", ExistingModel("demo"), again, replace=True)
    assert await loaded(ollama_double) == ["pirate:latest"]


async def test_a_model_is_renamed_in_case_alone(runtime: OllamaRuntime) -> None:
    await runtime.rename("demo", "DEMO:latest")
    assert [model.name for model in await runtime.models()] == ["DEMO", "embedder"]


async def test_requests_that_wait_for_each_other_all_end(runtime: OllamaRuntime) -> None:
    answers = await asyncio.gather(*(ask(runtime, "demo", [ASK]) for _ in range(6)))
    assert len(set(answers)) == 1


def with_template(gguf: bytes, template: str) -> bytes:
    """The same file with another chat template; blanks at its end keep the tensors where they are."""
    key = b"tokenizer.chat_template"
    at = gguf.index(key) + len(key) + 4
    length = int.from_bytes(gguf[at : at + 8], "little")
    text = template.encode()
    text += b" " * ((length - len(text)) % 32)
    return gguf[:at] + struct.pack("<Q", len(text)) + text + gguf[at + 8 + length :]


async def loaded(url: str) -> list[str]:
    client = OllamaClient(url, start_seconds=60)
    try:
        return await client.loaded()
    finally:
        await client.close()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _blob_of(name: str, folder: Path, part: str) -> Path:
    """The file of a model's weights or configuration."""
    (path,) = folder.glob(f"manifests/*/*/{name}/latest")
    manifest = json.loads(path.read_text())
    layers = [layer for layer in manifest["layers"] if layer["mediaType"].endswith(".model")]
    digest = (manifest["config"] if part == "configuration" else layers[0])["digest"]
    return folder / "blobs" / str(digest).replace(":", "-")
