"""Personas over personas: what they can be trained from, and models that cannot be read."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from api.errors import ModelDamaged, ModelNotFound, NameTaken
from api.models.bases import MARKER, BaseModels
from api.models.bundled import BundledModels
from api.models.catalog import ModelCatalog
from api.runtime import Persona
from api.store import Store
from tests.databases import open_migrated
from tests.fakes import FakeRuntime

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Shelf:
    """A catalog over a fake runtime; `demo` can be trained."""

    runtime: FakeRuntime
    store: Store
    bases: BaseModels
    catalog: ModelCatalog

    async def create(self, name: str, base: str, *, replace: bool = False) -> None:
        """A persona of that name over a base."""
        await self.catalog.create(name, base, Persona(f"You are {name}."), replace=replace)

    async def origin(self, name: str) -> tuple[str, str, bool]:
        """Kind and base of a model, and whether it can be trained."""
        model = await self.catalog.show(name)
        return model.kind, model.base, model.trainable


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    folder = tmp_path / "base_models"
    (folder / "demo").mkdir(parents=True)
    (folder / "demo" / MARKER).write_text("{}")
    runtime, store = FakeRuntime(), open_migrated(tmp_path / "state.sqlite3")
    bases = BaseModels(folder, store.models)
    bundled = BundledModels(runtime, [], tmp_path / "converting")
    yield Shelf(runtime, store, bases, ModelCatalog(runtime, store, bases, bundled, "demo"))
    store.close()


async def test_a_persona_over_a_persona_is_trained_from_the_base_below_both(shelf: Shelf) -> None:
    await shelf.create("ada", "demo")
    await shelf.create("bob", "ada")
    await shelf.create("cleo", "BOB")
    assert await shelf.origin("cleo") == ("persona", "bob", True)
    assert shelf.bases.find("cleo").name == "demo"


async def test_a_persona_keeps_its_root_when_what_it_is_built_on_is_deleted(shelf: Shelf) -> None:
    await shelf.create("ada", "demo")
    await shelf.create("bob", "ada")
    await shelf.catalog.delete("ada")
    assert await shelf.origin("bob") == ("persona", "ada", True)
    assert shelf.bases.find("bob").name == "demo"


async def test_a_delete_leaves_the_record_of_a_model_that_takes_the_name_meanwhile(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shelf.create("ada", "demo")
    deleted, may_end = asyncio.Event(), asyncio.Event()
    delete = shelf.runtime.delete_model

    async def slowly(name: str) -> None:
        await delete(name)
        deleted.set()
        await may_end.wait()

    monkeypatch.setattr(shelf.runtime, "delete_model", slowly)
    deleting = asyncio.create_task(shelf.catalog.delete("ada"))
    await deleted.wait()
    creating = asyncio.create_task(shelf.create("ada", "demo", replace=True))
    await asyncio.sleep(0.1)
    may_end.set()
    await asyncio.gather(deleting, creating)
    assert await shelf.origin("ada") == ("persona", "demo", True)


async def test_a_persona_that_is_replaced_over_itself_keeps_its_lineage(shelf: Shelf) -> None:
    await shelf.create("ada", "demo")
    await shelf.create("bob", "ada")
    await shelf.create("Ada", "ada", replace=True)
    assert await shelf.origin("ada") == ("persona", "demo", True)
    assert await shelf.origin("bob") == ("persona", "ada", True)


async def test_a_fine_tune_that_is_given_another_prompt_is_still_one(shelf: Shelf) -> None:
    await shelf.create("tuned", "demo")
    shelf.store.models.put("tuned", "fine-tune", "demo", "job_1")
    await shelf.create("tuned", "tuned", replace=True)
    assert await shelf.origin("tuned") == ("fine-tune", "demo", True)
    assert (await shelf.catalog.show("tuned")).job_id == "job_1"


async def test_what_is_built_on_a_persona_keeps_its_root_when_that_is_replaced(
    shelf: Shelf,
) -> None:
    shelf.runtime._put("llama3", 8192, {"chat"})
    await shelf.create("ada", "demo")
    await shelf.create("bob", "ada")
    await shelf.create("ada", "llama3", replace=True)
    assert await shelf.origin("ada") == ("persona", "llama3", False)
    assert await shelf.origin("bob") == ("persona", "ada", True)


async def test_a_replacement_that_fails_leaves_the_lineage_as_it_was(shelf: Shelf) -> None:
    await shelf.create("ada", "demo")
    before = shelf.store.models.get("ada")
    shelf.runtime._put("llama3", 8192, {"chat"})
    with pytest.raises(Exception, match="template"):
        await shelf.catalog.create("ada", "llama3", Persona(template="{% if %}"), replace=True)
    assert shelf.store.models.get("ada") == before


async def test_a_damaged_model_can_be_deleted(shelf: Shelf) -> None:
    await shelf.create("ada", "demo")
    shelf.runtime.damaged.add("ada")
    with pytest.raises(ModelNotFound):
        await shelf.catalog.show("ada")
    assert await shelf.catalog.delete("ada") == "ada"
    assert shelf.store.models.get("ada") is None
    await shelf.create("ada", "demo")


async def test_a_damaged_model_can_be_replaced(shelf: Shelf) -> None:
    await shelf.create("ada", "demo")
    shelf.runtime.damaged.add("ada")
    with pytest.raises(NameTaken, match="damaged"):
        await shelf.create("ada", "demo")
    await shelf.create("ada", "demo", replace=True)
    assert await shelf.origin("ada") == ("persona", "demo", True)


async def test_a_damaged_base_model_can_be_deleted_and_no_persona_takes_its_name(
    shelf: Shelf,
) -> None:
    shelf.runtime._put("llama3", 8192, {"chat"})
    shelf.runtime.damaged.add("llama3")
    with pytest.raises(NameTaken, match="damaged"):
        await shelf.create("llama3", "demo", replace=True)
    await shelf.catalog.delete("llama3")
    with pytest.raises(ModelNotFound):
        await shelf.runtime.show("llama3")


async def test_the_embedding_model_is_not_deleted_as_a_model_that_cannot_be_listed(
    shelf: Shelf,
) -> None:
    with pytest.raises(ModelNotFound):
        await shelf.catalog.delete("all-minilm-l6-v2-int8")
    assert await shelf.runtime.show("all-minilm-l6-v2-int8")


async def test_a_chat_with_a_damaged_model_says_that_it_is_damaged(shelf: Shelf) -> None:
    await shelf.create("ada", "demo")
    shelf.runtime.damaged.add("ada")
    with pytest.raises(ModelDamaged, match="ada"):
        await shelf.catalog.require_chat("ada")
