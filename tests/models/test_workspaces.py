"""The runtime as a workspace sees it."""

from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from api.errors import ModelDamaged, ModelNotFound, NameTaken, ReadOnly
from api.models.workspaces import Workspaces
from api.runtime import ExistingModel, Message, ModelRuntime, Options, Persona
from tests.databases import open_migrated
from tests.fakes import FakeRuntime

pytestmark = pytest.mark.anyio

EMBEDDER = "all-minilm-l6-v2-int8"


@pytest.fixture
def workspaces(tmp_path: Path) -> Iterator[Workspaces]:
    """Over a runtime that has a base model and an embedding model."""
    store = open_migrated(tmp_path / "state.sqlite3")
    yield Workspaces(store, FakeRuntime())
    store.close()


async def made(workspaces: Workspaces, workspace: str, name: str, system: str) -> ModelRuntime:
    """A persona with its record; the runtime as its workspace sees it."""
    _, store, runtime = workspaces.of(workspace)
    store.models.put(name, "persona", "demo")
    await runtime.create_model(name, ExistingModel("demo"), Persona(system))
    return runtime


async def names(runtime: ModelRuntime) -> list[str]:
    return [info.name for info in await runtime.models()]


async def test_each_workspace_sees_its_own_models_and_the_base_models(
    workspaces: Workspaces,
) -> None:
    first = await made(workspaces, "default", "Ada", "Of the first.")
    team = await made(workspaces, "team", "ada", "Of the team.")
    other = await made(workspaces, "other", "eve", "Of the other.")
    assert await names(first) == ["Ada", EMBEDDER, "demo"]
    assert await names(team) == ["ada", EMBEDDER, "demo"]
    assert await names(other) == [EMBEDDER, "demo", "eve"]
    every = await names(workspaces.runtime)
    assert set(every) == {"Ada", EMBEDDER, "demo", "ws-team/ada", "ws-other/eve"}
    assert (await team.show("ADA")).persona.system == "Of the team."
    assert (await first.show("ada")).persona.system == "Of the first."


async def test_what_was_found_is_asked_by_the_name_that_the_runtime_has(
    workspaces: Workspaces,
) -> None:
    team = await made(workspaces, "team", "ada", "Of the team.")
    found = await team.show("ada")
    assert found.name == "ada"
    for model in (found, "ada"):
        async with aclosing(team.chat(model, [Message("user", "Hello")], Options())) as pieces:
            assert "".join([piece.text async for piece in pieces]) == "Hello"
    assert isinstance(workspaces.runtime, FakeRuntime)
    assert {call.model for call in workspaces.runtime.history} == {"ws-team/ada"}
    assert (await team.count_tokens(found, [Message("user", "Hello")])).number > 0
    assert await team.tokenize_lengths("demo", ["one two"]) == [2]
    assert len(await team.embed(EMBEDDER, ["text"])) == 1


@pytest.mark.parametrize("name", ["ada", "ws-other/eve", "ws-default/ada", "ada--checking"])
async def test_a_model_of_another_workspace_is_not_there_however_it_is_named(
    workspaces: Workspaces, name: str
) -> None:
    first = await made(workspaces, "default", "ada", "Of the first.")
    await first.create_model("ada--checking", ExistingModel("demo"), Persona())
    await made(workspaces, "other", "eve", "Of the other.")
    team = workspaces.of("team").runtime
    for ask in (team.show, team.delete_model):
        with pytest.raises(ModelNotFound) as error:
            await ask(name)
        assert error.value.extra == {"Created Models": ["demo"]}
    with pytest.raises(ModelNotFound):
        await team.create_model("new", ExistingModel(name), Persona())
    with pytest.raises(ModelNotFound):
        async with aclosing(team.chat(name, [Message("user", "Hello")], Options())) as pieces:
            await anext(pieces)


@pytest.mark.parametrize(
    "name",
    [
        "w\u017f-other/eve",
        "ws-other/stra\xdfe",
        "w\u017f-other/stra\u017f\u017fe",
        "ws-other/\ufb01n",
        "\u017fue",
        "\ufb01n",
    ],
)
@pytest.mark.parametrize("asking", ["default", "team"])
async def test_a_letter_that_folds_to_ascii_finds_nothing_of_another_workspace(
    workspaces: Workspaces, name: str, asking: str
) -> None:
    for one in ("eve", "strasse", "fin"):
        await made(workspaces, "other", one, "Of the other.")
    if asking != "default":
        for one in ("sue", "fin"):
            await made(workspaces, "default", one, "Of the first.")
    before = await names(workspaces.runtime)
    runtime = workspaces.of(asking).runtime
    for ask in (runtime.show, runtime.delete_model):
        with pytest.raises(ModelNotFound):
            await ask(name)
    with pytest.raises(ModelNotFound):
        await runtime.create_model("new", ExistingModel(name), Persona())
    with pytest.raises(ModelNotFound):
        async with aclosing(runtime.chat(name, [Message("user", "Hello")], Options())) as pieces:
            await anext(pieces)
    assert await names(workspaces.runtime) == before


async def test_a_base_model_is_shared_and_only_the_first_workspace_deletes_it(
    workspaces: Workspaces,
) -> None:
    team = workspaces.of("team").runtime
    with pytest.raises(ReadOnly, match="'demo' is shared"):
        await team.delete_model("demo")
    await workspaces.of("default").runtime.delete_model("demo")
    with pytest.raises(ModelNotFound):
        await team.show("demo")


async def test_errors_speak_the_names_of_the_workspace(workspaces: Workspaces) -> None:
    team = await made(workspaces, "team", "ada", "Of the team.")
    with pytest.raises(NameTaken, match="'ada'"):
        await team.create_model("ada", ExistingModel("demo"), Persona())
    assert isinstance(workspaces.runtime, FakeRuntime)
    workspaces.runtime.damaged.add("ws-team/ada")
    with pytest.raises(ModelDamaged, match="Model 'ada' is damaged"):
        await team.show("ada")
    workspaces.runtime.damaged.clear()
    await team.rename("ada", "eve")
    await team.delete_model("eve")
    assert await names(team) == [EMBEDDER, "demo"]
