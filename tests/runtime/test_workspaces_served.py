"""Both runtimes take the names that models of a workspace have there, and serve them."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from api.models.workspaces import Workspaces
from api.runtime import ExistingModel, GGUFFile, Message, ModelRuntime, Options, Persona
from tests.contracts.ollama_server import ollama_runtime
from tests.databases import open_migrated
from tests.runtime.conftest import Opener

pytestmark = [pytest.mark.anyio, pytest.mark.real]

ASK = [Message("user", "Hello, who are you?")]
NAME = "A" * 60 + ":v2"


@pytest.fixture
async def ollama(ollama_double: str) -> AsyncIterator[ModelRuntime]:
    runtime = ollama_runtime(ollama_double)
    yield runtime
    await runtime.close()


async def test_ollama_has_them_in_a_namespace(
    ollama: ModelRuntime, demo_gguf: Path, tmp_path: Path
) -> None:
    await made_and_asked(ollama, demo_gguf, tmp_path)


async def test_the_embedded_registry_has_them_beside_all_others(
    open_embedded: Opener, demo_gguf: Path, tmp_path: Path
) -> None:
    await made_and_asked(open_embedded().runtime, demo_gguf, tmp_path)


async def made_and_asked(runtime: ModelRuntime, gguf: Path, folder: Path) -> None:
    """A persona and a file, renamed, asked and deleted."""
    store = open_migrated(folder / "state.sqlite3")
    team = Workspaces(store, runtime).of("team-of-a-workspace-with-a-long-name-1234").runtime
    await team.create_model("ada--checking", GGUFFile(gguf), Persona())
    await team.rename("ada--checking", "ada")
    await team.create_model(NAME, ExistingModel("ada"), Persona("Be brief."))
    found = await team.show(NAME.lower())
    assert (found.name, found.persona.system) == (NAME, "Be brief.")
    assert [one.name for one in await team.models()] == [NAME, "ada", "demo", "embedder"]
    options = Options(temperature=0, seed=0, max_tokens=4)
    async with aclosing(team.chat(found, ASK, options)) as pieces:
        assert [piece.usage async for piece in pieces][-1]
    assert (await team.count_tokens("ada", ASK)).number > 0
    for name in (NAME, "ada"):
        await team.delete_model(name)
    assert {one.name for one in await runtime.models()} == {"demo", "embedder"}
    store.close()
