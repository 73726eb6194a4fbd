"""A collection is embedded anew behind what answers, and switched at once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from api.documents.originals import stand_beside
from api.errors import DocumentNotFound, Unavailable, WrongState
from api.rag.retrieve import hits
from api.runtime import ModelRef, name_of
from api.store.collections import Collection
from tests.documents.house import House
from tests.documents.pdfs import pdf
from tests.fakes import FakeRuntime

pytestmark = pytest.mark.anyio

OLD, NEW = "all-minilm-l6-v2-int8", "other"
TOWER = pdf("The tower of Lindau is 90 metres high.")
BRIDGE = pdf("The bridge of Lindau was built in 1901.")
HARBOUR = pdf("The harbour of Lindau has room for 300 boats.")


class TwoEmbedders(FakeRuntime):
    """A fake with two embedding models, of which the second one can be away."""

    def __init__(self) -> None:
        super().__init__()
        self.add_models_of(FakeRuntime(embedding_model=NEW))
        self.is_away = False
        self.made: list[str] = []

    async def embed(self, model: ModelRef, texts: Sequence[str]) -> list[list[float]]:
        """As ever, unless it is away."""
        if self.is_away and name_of(model) == NEW:
            raise Unavailable("The second one is away.")
        self.made.append(name_of(model))
        return await super().embed(model, texts)


@pytest.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """A house with two documents, and a runtime with two embedding models."""
    monkeypatch.setattr("api.documents.reembedding.MOST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr("api.index.dense.FIRST_PAUSE_SECONDS", 0.01)
    house = House(tmp_path, runtime=TwoEmbedders()).open()
    await house.bring(TOWER, "tower.pdf")
    await house.bring(BRIDGE, "bridge.pdf")
    yield house
    await house.close()


def runtime_of(house: House) -> TwoEmbedders:
    """The runtime, as what it is."""
    assert isinstance(house.runtime, TwoEmbedders)
    return house.runtime


def collection_of(house: House) -> Collection:
    """The collection, as it is now."""
    return house.store.collections.find("demo")


async def found(house: House) -> set[str]:
    """The documents that a search finds."""
    best = await hits(house.index, house.store, house.scope(), ["What of Lindau?"], None, 0.5)
    return {one.document for one in best}


def versions(house: House) -> set[str]:
    """The models that the documents which are found are embedded by."""
    return {one.embedder.partition(":")[0] for one in house.documents_of("demo")}


async def switched(house: House) -> None:
    """Wait until what runs has ended well."""
    await house.reembedder.settled()
    one = await house.reembedder.find(collection_of(house))
    assert one is not None
    assert (one.status, one.error) == ("ready", None), one


async def dropped(house: House) -> None:
    """Drop what stands by, and wait until nothing is left of it."""
    await house.reembedder.end(collection_of(house))
    await house.deleter.settled()
    while not house.is_whole():  # the vectors may follow behind
        await asyncio.sleep(0.01)


async def test_until_all_is_embedded_the_old_index_answers_and_then_the_new_one(
    house: House,
) -> None:
    before = house.documents_of("demo")
    runtime_of(house).is_away = True
    await house.reembedder.start(collection_of(house), NEW)
    assert await found(house) == {"tower.pdf", "bridge.pdf"}
    assert versions(house) == {OLD}
    runtime_of(house).is_away = False
    await switched(house)
    assert versions(house) == {NEW}
    assert collection_of(house).embedder == NEW
    assert [one.id for one in house.documents_of("demo")] == [one.id for one in before]
    assert await found(house) == {"tower.pdf", "bridge.pdf"}
    await dropped(house)
    assert await found(house) == {"tower.pdf", "bridge.pdf"}


async def test_no_search_finds_nothing_or_fails_while_it_is_switched(house: House) -> None:
    is_over = False
    seen: list[set[str]] = []

    async def search() -> None:
        while not is_over:
            seen.append(await found(house))

    async with asyncio.TaskGroup() as group:
        group.create_task(search())
        await house.reembedder.start(collection_of(house), NEW)
        await switched(house)
        await house.reembedder.roll_back(collection_of(house))
        await switched(house)
        await house.reembedder.start(collection_of(house), OLD)  # cut anew, in the same set
        await switched(house)
        is_over = True
    assert seen
    assert all(one == {"tower.pdf", "bridge.pdf"} for one in seen)


async def test_what_comes_and_goes_meanwhile_is_right_after_the_switch(house: House) -> None:
    runtime = runtime_of(house)
    runtime.is_away = True
    await house.reembedder.start(collection_of(house), NEW)
    await house.bring(HARBOUR, "harbour.pdf")
    await house.bring(HARBOUR, "harbour.pdf", "other")
    await house.deleter.delete_document(house.scope(), "tower")
    new = pdf("The bridge of Lindau was built in 1902.")
    await house.bring(new, "bridge.pdf", replace=True)
    await house.deleter.settled()
    assert versions(house) == {OLD}
    runtime.is_away = False
    await switched(house)
    assert {one.name for one in house.documents_of("demo")} == {"bridge.pdf", "harbour.pdf"}
    assert versions(house) == {NEW}
    assert await found(house) == {"bridge.pdf", "harbour.pdf"}
    (other,) = house.documents_of("other")
    assert other.embedder.startswith(OLD)
    await dropped(house)
    assert house.files.path(other.content_id).read_bytes() == HARBOUR


async def test_an_import_that_ends_after_the_switch_is_embedded_by_the_new_model(
    house: House,
) -> None:
    async with house.index.switching.none():  # as if the switch came right before its end
        importing = asyncio.create_task(house.bring(HARBOUR, "harbour.pdf"))
        while not any(one.embedder for one in house.store.documents.all("importing")):
            await asyncio.sleep(0.01)
        one, _ = house.store.reembeddings.begin(
            collection_of(house), NEW, OLD, reread=False, keep=False
        )
        for document in house.documents_of("demo"):
            house.store.documents.mark_deleting([document.id])
        assert house.store.reembeddings.switch(one, "{text}", "{text}")
    document, _ = await importing
    assert document.embedder.startswith(NEW)


async def test_back_to_what_answered_before_with_what_came_since(house: House) -> None:
    await house.reembedder.start(collection_of(house), NEW)
    await switched(house)
    await house.bring(HARBOUR, "harbour.pdf")
    assert versions(house) == {NEW}
    made = len(runtime_of(house).made)
    await house.reembedder.roll_back(collection_of(house))
    await switched(house)
    assert versions(house) == {OLD}
    assert runtime_of(house).made[made:] == [OLD]
    assert await found(house) == {"tower.pdf", "bridge.pdf", "harbour.pdf"}
    await dropped(house)
    with pytest.raises(WrongState):
        await house.reembedder.roll_back(collection_of(house))


async def test_given_up_it_leaves_what_answers(house: House) -> None:
    runtime_of(house).is_away = True
    await house.reembedder.start(collection_of(house), NEW)
    with pytest.raises(WrongState, match=NEW):
        await house.reembedder.start(collection_of(house), OLD)
    await house.reembedder.end(collection_of(house))
    await house.deleter.settled()
    assert house.is_whole()
    assert versions(house) == {OLD}
    with pytest.raises(WrongState):
        await house.reembedder.end(collection_of(house))


async def test_without_its_model_it_says_so_and_the_old_index_answers(house: House) -> None:
    model = await house.runtime.show(NEW)
    await house.runtime.delete_model(NEW)
    await house.reembedder.start(collection_of(house), NEW)
    while not (one := await house.reembedder.find(collection_of(house))) or not one.error:
        await asyncio.sleep(0.01)
    assert one.status == "running"
    assert f"The embedding model '{NEW}' is not there" in one.error["detail"]
    assert await found(house) == {"tower.pdf", "bridge.pdf"}
    house.runtime.add_models_of(FakeRuntime(embedding_model=model.name))
    await switched(house)
    assert versions(house) == {NEW}


async def test_at_the_next_start_it_goes_on_and_embeds_nothing_twice(house: House) -> None:
    runtime = runtime_of(house)
    await house.reembedder.start(collection_of(house), NEW)
    while not house.store.documents.all("standby"):
        await asyncio.sleep(0)
    await house.close()
    made = runtime.made.count(NEW)
    house.open()
    await house.index.repair()
    await house.importer.resume()
    await house.reembedder.resume()
    await switched(house)
    assert versions(house) == {NEW}
    assert runtime.made.count(NEW) - made <= 2  # one of the two, and a look at the dimension
    await dropped(house)


async def test_by_its_own_model_only_what_is_cut_otherwise_now_is_embedded(house: House) -> None:
    made = len(runtime_of(house).made)
    await house.reembedder.start(collection_of(house), OLD, reread=True)
    await switched(house)
    assert len(runtime_of(house).made) - made <= 1  # a look at the dimension
    assert await found(house) == {"tower.pdf", "bridge.pdf"}
    await dropped(house)


async def test_a_collection_that_is_deleted_takes_all_of_it_along(house: House) -> None:
    runtime_of(house).is_away = True
    await house.reembedder.start(collection_of(house), NEW)
    while not house.store.documents.all("embedding"):
        await asyncio.sleep(0.01)
    deleted = await house.deleter.delete_collection(collection_of(house))
    assert {one.name for one in deleted} == {"tower.pdf", "bridge.pdf"}
    runtime_of(house).is_away = False
    await house.reembedder.settled()
    await house.deleter.settled()
    assert house.is_empty()


async def test_what_stands_by_is_not_shared_with_another_collection(house: House) -> None:
    await house.reembedder.start(collection_of(house), NEW)
    await switched(house)
    waiting = {one.content_id for one in house.store.documents.all("standby")}
    document, _ = await house.bring(TOWER, "tower.pdf", "other")
    assert document.content_id not in waiting
    await house.reembedder.roll_back(collection_of(house))
    await switched(house)
    assert await found(house) == {"tower.pdf", "bridge.pdf"}
    assert versions(house) == {OLD}
    await dropped(house)


async def test_switched_back_while_the_words_still_catch_up(house: House) -> None:
    await house.reembedder.start(collection_of(house), NEW)
    while (one := await house.reembedder.find(collection_of(house))) and one.status == "running":
        await asyncio.sleep(0)
    await house.reembedder.roll_back(collection_of(house))
    await switched(house)
    assert versions(house) == {OLD}


async def test_a_switch_back_that_failed_goes_on_with_its_templates(house: House) -> None:
    await house.reembedder.start(collection_of(house), NEW)
    await switched(house)
    before = await house.reembedder.find(collection_of(house))
    assert before
    assert before.previous_templates
    house.store.reembeddings.begin(
        collection_of(house), OLD, NEW, before.previous_templates, reread=False, keep=True
    )
    house.store.reembeddings.tell(collection_of(house).id, "failed", {"detail": "Something."})
    begun = await house.reembedder.roll_back(collection_of(house))
    assert (begun.embedder, begun.templates) == (OLD, before.previous_templates)
    await switched(house)
    assert versions(house) == {OLD}


async def test_one_that_failed_before_it_switched_is_not_switched_back(house: House) -> None:
    runtime_of(house).is_away = True
    await house.reembedder.start(collection_of(house), NEW)
    await house.reembedder.close()
    house.store.reembeddings.tell(collection_of(house).id, "failed", {"detail": "Something."})
    with pytest.raises(WrongState):
        await house.reembedder.roll_back(collection_of(house))


async def test_a_document_that_is_deleted_at_its_turn_keeps_no_other_one_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {path.name for path in house.files.guarded.path.iterdir()}
    document = house.documents_of("demo")[0]
    house.store.documents.mark_deleting([document.id])
    with pytest.raises(DocumentNotFound):
        stand_beside(house.store, house.files, document, NEW, reread=False)
    assert {path.name for path in house.files.guarded.path.iterdir()} == files
    turns = iter([document])  # it was there when its turn was found
    after = house.store.reembeddings.next
    monkeypatch.setattr(
        house.store.reembeddings, "next", lambda one: next(turns, None) or after(one)
    )
    await house.reembedder.start(collection_of(house), NEW)
    await switched(house)
    assert versions(house) == {NEW}


async def test_what_kept_it_waiting_is_forgotten_when_it_goes_on(house: House) -> None:
    runtime = runtime_of(house)
    runtime.is_away = True
    await house.reembedder.start(collection_of(house), NEW)
    while not (one := await house.reembedder.find(collection_of(house))) or not one.error:
        await asyncio.sleep(0.01)
    async with house.index.switching.none():
        runtime.is_away = False
        while (one := await house.reembedder.find(collection_of(house))) and one.error:
            await asyncio.sleep(0.01)
        assert one
        assert one.status == "running"
    await switched(house)
