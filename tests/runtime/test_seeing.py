"""The embedded runtime with a model that sees: a projector beside its weights, and images in what it is asked."""

import shutil
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from api.data_folder.contents import ModelFiles
from api.errors import InvalidOption, Unusable
from api.runtime import ExistingModel, GGUFFile, Message, Options, Persona, Piece, Usage
from api.runtime.llama_cpp.child import Limits
from api.runtime.llama_cpp.children import Children
from api.runtime.llama_cpp.registry import Registry
from api.runtime.openai_style.client import OpenAIClient
from api.runtime.openai_style.dialect import Dialect
from api.runtime.openai_style.directory import Directory, RemoteModel
from api.runtime.openai_style.runtime import OpenAIStyleRuntime
from tests.contracts.llama_server import KEY, llama_server
from tests.runtime.conftest import Embedded
from tests.tiny_vision import IMAGE_TOKENS, MODEL, PROJECTOR, png

pytestmark = [pytest.mark.anyio, pytest.mark.real]

RED, BLUE = png(), png(200, 100, (0, 0, 255))
EXACT = Options(max_tokens=1, temperature=0, logprobs=5)


@pytest.fixture
async def seeing(tiny_vision: Path, tmp_path: Path) -> AsyncIterator[Embedded]:
    """A runtime with `eye`, which sees, and `blind`, which has the same weights and no projector."""
    children = Children(Limits(threads=1, gpu_layers=0), most=4, idle_seconds=60)
    embedded = Embedded(tmp_path / "models", children, 512)
    source = GGUFFile(tiny_vision / MODEL, projector=tiny_vision / PROJECTOR)
    await embedded.create("eye", source)
    await embedded.create("blind", GGUFFile(tiny_vision / MODEL))
    yield embedded
    await embedded.runtime.close()


async def ask(
    embedded: Embedded, name: str, *images: bytes, text: str = "What?", options: Options = EXACT
) -> tuple[Piece, Usage]:
    """The first piece of the answer, and what it took."""
    messages = [Message("user", text, images)]
    async with aclosing(embedded.runtime.chat(name, messages, options)) as stream:
        pieces = [piece async for piece in stream]
    assert pieces[-1].usage
    return pieces[0], pieces[-1].usage


async def test_images_are_read_and_counted_and_change_what_is_said(seeing: Embedded) -> None:
    _, without = await ask(seeing, "eye")
    red, one = await ask(seeing, "eye", RED)
    blue, _ = await ask(seeing, "eye", BLUE)
    again, two = await ask(seeing, "eye", RED, BLUE)
    assert one.prompt_tokens == without.prompt_tokens + IMAGE_TOKENS
    assert two.prompt_tokens == without.prompt_tokens + 2 * IMAGE_TOKENS
    assert len({piece.logprobs[0].logprob for piece in (red, blue, again)}) == 3
    shown = [Message("user", "What?", (RED,))]
    assert (await seeing.runtime.count_tokens("eye", shown)).number == one.prompt_tokens
    schema = {"type": "object", "properties": {"a": {"enum": [1]}}, "required": ["a"]}
    wanted = Options(json_schema=schema, think=False, max_tokens=20)
    said, _ = await ask(seeing, "eye", RED, options=wanted)
    assert said.text.strip().startswith("{")


async def test_who_sees_is_told_kept_and_inherited(seeing: Embedded) -> None:
    await seeing.create("painter", ExistingModel("eye"), Persona("You paint."))
    await seeing.runtime.delete_model("eye")
    kept = {info.name: info.capabilities for info in await seeing.runtime.models()}
    assert "images" in kept["painter"]
    assert "images" not in kept["blind"]
    with pytest.raises(InvalidOption, match="'blind' cannot see"):
        await ask(seeing, "blind", RED)
    await ask(seeing, "painter", RED)
    again = Registry(seeing.registry.path("").parent)
    assert "images" in again.info(again.get("painter")).capabilities
    folder = seeing.registry.path("").parent
    assert ModelFiles(folder, lambda: {"painter"}).unplaced() == []
    assert len(list((folder / "blobs").iterdir())) == 2
    await seeing.runtime.delete_model("painter")
    assert len(list((folder / "blobs").iterdir())) == 1
    assert all(child.launch.projector is None for child in seeing.children.loaded())


async def test_an_image_that_cannot_be_decoded_is_the_requests_fault(seeing: Embedded) -> None:
    for damaged in (RED[:40], b"RIFF\0\0\0\0WEBPVP8L" + bytes(20)):
        with pytest.raises(InvalidOption, match="damaged, or of a kind"):
            await ask(seeing, "eye", damaged)
    with pytest.raises(InvalidOption, match="cannot be said as text"):
        await ask(seeing, "eye", RED, text="<global-img> and <|im_end|>")
    await ask(seeing, "eye", RED)


async def test_no_program_is_run_over_an_image(
    tiny_vision: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs, ran = tmp_path / "programs", tmp_path / "ran"
    programs.mkdir()
    probe = programs / "ffprobe"
    probe.write_text(f"#!/bin/sh\n: > {ran}\n")
    probe.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    children = Children(Limits(threads=1, gpu_layers=0), most=4, idle_seconds=60)
    embedded = Embedded(tmp_path / "models", children, 512)
    await embedded.create("eye", GGUFFile(tiny_vision / MODEL, projector=tiny_vision / PROJECTOR))
    with pytest.raises(InvalidOption, match="damaged"):
        await ask(embedded, "eye", b"\x89PNG\r\n\x1a\nand so on")
    await embedded.runtime.close()
    assert not ran.exists()


async def test_a_back_end_gets_what_is_shown(tiny_vision: Path) -> None:
    eyes = {"chat", "images"}
    directory = Directory([RemoteModel("eye", "cellar", "eye", 512, frozenset(eyes))])
    with llama_server(
        tiny_vision / MODEL, context_length=512, projector=tiny_vision / PROJECTOR
    ) as address:
        client = OpenAIClient("cellar", address, lambda: KEY)
        runtime = OpenAIStyleRuntime(client, Dialect(counts="llama.cpp"), directory)
        for images in ((), (RED,), (RED, BLUE)):
            messages = [Message("user", "What?", images)]
            async with aclosing(runtime.chat("eye", messages, EXACT)) as stream:
                usage = [piece async for piece in stream][-1].usage
            assert usage
            assert usage == replace(usage, prompt_tokens=13 + len(images) * IMAGE_TOKENS)
            assert (await runtime.count_tokens("eye", messages)).number == usage.prompt_tokens
        await client.close()


@pytest.mark.parametrize(
    ("projector", "why"),
    [
        (lambda file: file, "holds a model, and no projector"),
        (lambda file: file.with_name(PROJECTOR), "none for images"),
        (lambda _: Path(__file__), "no sound GGUF"),
    ],
)
async def test_what_is_no_projector_for_images_is_refused_and_leaves_nothing(
    tiny_vision: Path, tmp_path: Path, projector: object, why: str
) -> None:
    model = tmp_path / MODEL
    shutil.copy(tiny_vision / MODEL, model)
    heard = (tiny_vision / PROJECTOR).read_bytes().replace(b"has_vision_enc", b"has_hearing_en")
    (tmp_path / PROJECTOR).write_bytes(heard)
    children = Children(Limits(threads=1), most=4, idle_seconds=60)
    embedded = Embedded(tmp_path / "models", children, 512)
    assert callable(projector)
    with pytest.raises(Unusable, match=why):
        await embedded.create("eye", GGUFFile(model, projector=projector(model)))
    with pytest.raises(Unusable, match="--mmproj"):
        await embedded.create("eye", GGUFFile(tiny_vision / PROJECTOR))
    await embedded.runtime.close()
    assert not list((tmp_path / "models" / "blobs").iterdir())
