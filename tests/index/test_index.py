"""What the index finds, for whom, and how it comes back to what the store says."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import anyio
import pytest
from anyio.to_thread import run_sync

from api.errors import (
    ApiError,
    BackEndFailed,
    EmbeddingMismatch,
    NotReady,
    OutOfSpace,
    Unavailable,
)
from api.index import Index
from api.index.dense import ASKED_AT_ONCE
from api.index.embedded import embedded_text
from api.index.embeddings import Embedder, Vectors
from api.index.values import Scored, VectorSet, Wanted
from api.runtime import ModelRef, name_of
from api.store.chunks import Chunk
from tests.fakes import FakeRuntime
from tests.index.library import EMBEDDING_MODEL, Library
from tests.index.memory import FailingVectors, MemoryVectors

pytestmark = pytest.mark.anyio

TOWER = "The tower of Lindau is 90 metres high."
BRIDGE = "The bridge of Konstanz was built in 1901."
FERRY = "The ferry to Meersburg leaves every hour."


async def test_candidates_come_by_meaning_and_by_words_best_first(library: Library) -> None:
    await library.add("places.pdf", TOWER, BRIDGE, FERRY)
    dense, lexical = await library.found("When was the bridge of Konstanz built?")
    assert dense[0] == lexical[0] == BRIDGE
    assert len(dense) == 3


async def test_all_queries_are_embedded_in_one_call_and_answered_in_order(library: Library) -> None:
    await library.add("places.pdf", TOWER, BRIDGE, FERRY)
    library.runtime.embedded.clear()
    queries = ["tower Lindau", "ferry Meersburg"]
    found = await library.index.candidates(library.scope(), list(map(Wanted, queries)), None, 1)
    assert library.runtime.embedded == queries
    assert [one.query for one in found] == queries
    ids = [hit.chunk_id for one in found for hit in one.dense]
    texts = library.store.chunks.found(ids, library.scope().ids)
    assert [texts[one.dense[0].chunk_id].text for one in found] == [TOWER, FERRY]


async def test_a_model_is_asked_about_its_own_documents_and_those_for_all(
    library: Library,
) -> None:
    await library.add("own.pdf", TOWER, model="demo")
    await library.add("shared.pdf", BRIDGE, model="")
    await library.add("foreign.pdf", FERRY, model="other")
    for question in ("tower", "bridge", "ferry"):
        dense, lexical = await library.found(question, model="Demo:latest")
        assert set(dense) == {TOWER, BRIDGE}
        assert FERRY not in lexical
    assert (await library.found("ferry", model="nobody"))[1] == []


async def test_a_selection_of_documents_is_searched_exactly_and_alone(library: Library) -> None:
    tower = await library.add("tower.pdf", TOWER)
    bridge = await library.add("bridge.pdf", BRIDGE)
    await library.add("ferry.pdf", FERRY)
    dense, lexical = await library.found("the ferry and the bridge", [tower, bridge])
    assert set(dense) == {TOWER, BRIDGE}
    assert lexical[0] == BRIDGE
    assert FERRY not in lexical
    (chosen,) = await library.index.candidates(library.scope(), [Wanted("bridge")], [bridge], 5)
    (all_of_them,) = await library.index.candidates(library.scope(), [Wanted("bridge")], None, 5)
    near = {hit.chunk_id: hit.score for hit in all_of_them.dense}
    assert chosen.dense[0].score == pytest.approx(near[chosen.dense[0].chunk_id], abs=1e-3)


async def test_a_document_that_is_not_ready_is_not_found(library: Library) -> None:
    await library.add("ready.pdf", TOWER)
    await library.add("coming.pdf", BRIDGE, ready=False)
    assert await library.found("bridge and tower") == ([TOWER], [TOWER])
    going = await library.add("going.pdf", FERRY)
    library.store.documents.mark_deleting([going.id])
    assert await library.found("ferry and tower") == ([TOWER], [TOWER])


async def test_without_documents_or_queries_nothing_is_embedded(library: Library) -> None:
    assert await library.found("anything") == ([], [])
    await library.add("a.pdf", TOWER)
    library.runtime.embedded.clear()
    assert await library.index.candidates(library.scope(), [], None, 5) == []
    assert await library.found("anything", []) == ([], [])
    assert library.runtime.embedded == []


async def test_a_question_too_long_for_the_embedder_is_refused_and_not_cut(
    library: Library,
) -> None:
    await library.add("a.pdf", TOWER)
    with pytest.raises(ApiError):
        await library.found("word " * 600)


async def test_a_collection_keeps_its_embedder_when_the_settings_name_another(
    library: Library,
) -> None:
    await library.add("old.pdf", TOWER)
    runtime = FakeRuntime(embedding_model="new-embedder")
    changed = Index(
        library.store, library.vectors, library.lexical, Embedder(runtime, "new-embedder")
    )
    with pytest.raises(NotReady, match=f"'{EMBEDDING_MODEL}' is not there"):
        await changed.candidates(library.scope(), [Wanted("tower")], None, 5)
    runtime.add_models_of(library.runtime)
    (found,) = await changed.candidates(library.scope(), [Wanted("tower")], None, 5)
    assert len(found.dense) == 1
    fresh = library.store.collections.create("fresh")
    assert changed.embedder_of(fresh).model == "new-embedder"


async def test_a_collection_keeps_what_stands_around_its_texts(library: Library) -> None:
    runtime = FakeRuntime(embedding_model="nomic-embed-text")
    embedder = Embedder(runtime, "nomic-embed-text", query="Q: {text}")
    first = Index(library.store, library.vectors, library.lexical, embedder)
    collection = library.store.collections.create("texts")
    assert await (await first.pinned(collection)).templates() == await embedder.templates()
    later = Index(
        library.store, library.vectors, library.lexical, Embedder(runtime, "nomic-embed-text")
    )
    kept = await (await later.pinned(collection)).templates()
    assert kept == ("Q: {text}", "search_document: {text}")
    fresh = library.store.collections.create("fresh")
    assert (await (await later.pinned(fresh)).templates()).query == "search_query: {text}"


class Wide(FakeRuntime):
    """A second embedding model, whose similarities are all near 1, as those of e5."""

    async def embed(self, model: ModelRef, texts: Sequence[str]) -> list[list[float]]:
        """The other one's vectors with a large part that all have."""
        rows = await super().embed(model, texts)
        if name_of(model) != "wide":
            return rows
        return [[0.9**0.5, *(0.1**0.5 * value for value in row)] for row in rows]


@pytest.mark.parametrize("listed", [False, True])
async def test_collections_of_two_embedders_are_searched_together_on_one_scale(
    tmp_path: Path, listed: bool
) -> None:
    runtime = Wide(embedding_model="wide")
    runtime.add_models_of(FakeRuntime())
    library = Library(tmp_path, runtime).open()
    own = [await library.add("own.pdf", TOWER, FERRY)]
    for_all = library.store.collections.named("*", "wide")
    library.embedder = library.index.embedder_of(for_all)
    own.append(await library.add("shared.pdf", BRIDGE, "Nothing of that kind.", model=""))
    for question, best in (("the tower of Lindau", TOWER), ("the bridge of Konstanz", BRIDGE)):
        dense, lexical = await library.found(question, own if listed else None)
        assert dense[0] == lexical[0] == best
        assert len(dense) == 4
    (found,) = await library.index.candidates(library.scope(), [Wanted("tower")], None, 10)
    assert [hit.score for hit in found.dense] == sorted(
        (h.score for h in found.dense), reverse=True
    )
    library.close()


def replaced_weights(runtime: FakeRuntime, digest: str) -> None:
    """Other weights under the embedding model's name, as after a pull of a newer version."""
    runtime._models[EMBEDDING_MODEL] = replace(runtime._models[EMBEDDING_MODEL], digest=digest)


async def test_a_replaced_embedding_model_is_noticed_and_an_import_anew_puts_it_right(
    library: Library,
) -> None:
    old = await library.add("old.pdf", TOWER)
    assert (await library.found("tower"))[0] == [TOWER]
    replaced_weights(library.runtime, "0" * 64)
    with pytest.raises(EmbeddingMismatch, match=r"another one than when.*old\.pdf"):
        await library.found("tower")
    with pytest.raises(EmbeddingMismatch):
        await library.found("tower", [old])
    library.store.documents.mark_deleting([old.id])
    await library.index.remove(old)
    library.store.documents.remove(old.id)
    await library.add("old.pdf", TOWER)
    assert (await library.found("tower"))[0] == [TOWER]


class ReplacedMeanwhile(FakeRuntime):
    """A fake whose embedding model is replaced behind the first batch of several texts."""

    async def embed(self, model: ModelRef, texts: Sequence[str]) -> list[list[float]]:
        """Embed, then replace."""
        rows = await super().embed(model, texts)
        if len(texts) > 1:
            replaced_weights(self, "1" * 64)
        return rows


async def test_vectors_that_are_made_anew_are_of_one_kind_when_the_model_is_replaced_meanwhile(
    tmp_path: Path,
) -> None:
    library = Library(tmp_path).open()
    old = await library.add("old.pdf", *(f"{TOWER} {n}" for n in range(40)))
    runtime = ReplacedMeanwhile()
    replaced_weights(runtime, "0" * 64)
    embedder = Embedder(runtime, EMBEDDING_MODEL)
    await library.index.place(old, embedder)
    version = await embedder.version()
    assert version.endswith("1" * 12)
    assert not library.store.vectors.lacking(old.content_id, version)
    assert library.store.documents.get(old.id).embedder == version
    library.close()


async def test_a_content_that_another_collection_has_is_embedded_anew_for_a_replaced_model(
    library: Library,
) -> None:
    await library.add("old.pdf", TOWER)
    replaced_weights(library.runtime, "0" * 64)
    library.runtime.embedded.clear()
    second = library.store.documents.add(
        "old.pdf",
        library.store.collections.of_model("other"),
        sha256(b"old.pdf").hexdigest(),
        1,
        EMBEDDING_MODEL,
    )
    assert not second.has_new_content
    await library.index.place(second.document, library.embedder)
    library.store.documents.mark_ready(second.document.id)
    assert len(library.runtime.embedded) == 2  # a probe for its dimension, and the chunk
    assert (await library.found("tower", model="other"))[0] == [TOWER]
    with pytest.raises(EmbeddingMismatch):
        await library.found("tower")


async def test_versions_from_before_digests_are_the_present_model_even_when_it_is_away_at_the_start(
    tmp_path: Path,
) -> None:
    runtime = FakeRuntime()
    replaced_weights(runtime, "")
    library = Library(tmp_path, runtime).open()
    document = await library.add("old.pdf", TOWER)
    assert "@" not in library.store.documents.get(document.id).embedder
    library.close()
    library.runtime = FakeRuntime()
    library.runtime.available = False
    library.open(vectors_behind=True)
    await library.index.repair()
    library.runtime.available = True
    for _ in range(2):
        assert (await library.found("tower"))[0] == [TOWER]
    assert library.runtime.embedded == ["tower"] * 2
    assert "@" in library.store.documents.get(document.id).embedder
    await says(library, "")
    (where,) = library.vectors.sets()
    assert where.embedder == library.store.documents.get(document.id).embedder
    library.close()


async def test_a_missing_embedding_model_is_not_ready_and_no_unknown_model(
    library: Library,
) -> None:
    await library.add("a.pdf", TOWER)
    await library.runtime.delete_model("all-minilm-l6-v2-int8")
    with pytest.raises(NotReady):
        await library.found("tower")


async def test_removing_a_document_takes_its_vectors_and_words(library: Library) -> None:
    tower = await library.add("tower.pdf", TOWER)
    bridge = await library.add("bridge.pdf", BRIDGE)
    library.store.documents.mark_deleting([tower.id])
    await library.index.remove(tower)
    await library.index.remove(tower)
    left = set(library.store.chunks.ids(bridge.content_id))
    assert library.vector_ids() == library.lexical.ids() == left


async def test_lost_vectors_and_words_come_back_from_the_store_without_embedding(
    library: Library,
) -> None:
    await library.add("places.pdf", TOWER, BRIDGE, FERRY)
    await library.add("shared.pdf", TOWER, model="")
    expected = library.vector_ids()
    library.close()
    for collection in library.vectors.sets():
        library.vectors.drop(collection)
    library.open(vectors_behind=True)
    library.lexical.clear()
    library.runtime.embedded.clear()
    assert (await library.found("bridge"))[0][0] == BRIDGE  # compared in the store meanwhile
    library.runtime.embedded.clear()
    assert len(await library.index.findings()) == 2
    assert len(await library.index.repair()) == 2
    assert library.runtime.embedded == []
    assert library.vector_ids() == library.lexical.ids() == expected
    assert await library.index.findings() == []
    assert any("Repaired" in note for note in await library.index.check())


async def test_what_belongs_to_nobody_is_taken_out(library: Library) -> None:
    await library.add("places.pdf", TOWER, BRIDGE)
    expected = library.vector_ids()
    vectors, version = await library.embedder.embed_passages([FERRY])
    demo = library.scope().ids[0]
    library.vectors.put(VectorSet(demo, version), [999], vectors)
    library.vectors.put(VectorSet("gone", version), [1000], vectors)
    assert len(await library.index.repair()) == 2
    assert library.vector_ids() == expected


async def test_vectors_that_are_not_the_stored_ones_are_made_again(library: Library) -> None:
    await library.add("places.pdf", TOWER, BRIDGE)
    wrong, _ = await library.embedder.embed_passages([FERRY, FERRY])
    (collection,) = library.vectors.sets()
    ids = sorted(library.vector_ids())
    library.vectors.drop(collection)
    library.vectors.put(collection, ids, wrong)
    assert len(await library.index.repair()) == 1
    assert (await library.found("bridge Konstanz"))[0][0] == BRIDGE


async def test_a_vector_store_that_fails_is_replaced_by_exact_comparison(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    await library.add("places.pdf", TOWER, BRIDGE)

    def fails(*_: object) -> None:
        raise BackEndFailed("The graph is damaged.")

    monkeypatch.setattr(library.vectors, "query", fails)
    dense, _ = await library.found("bridge Konstanz")
    assert dense[0] == BRIDGE
    with pytest.raises(Unavailable, match=r"damaged.*searched in the database"):
        await library.index.check()


async def says(library: Library, what: str) -> None:
    """Wait until the check of the index says so; nothing, when it serves."""
    said = None
    with anyio.fail_after(60):
        while said is None or (what not in said if what else said):
            await anyio.sleep(0.01)
            try:
                said = " ".join(note for note in await library.index.check() if "compared" in note)
            except Unavailable as away:
                said = away.detail


async def test_a_vector_store_that_failed_is_used_again_without_a_restart(
    failing: FailingVectors, tmp_path: Path
) -> None:
    library = Library(tmp_path, vectors=failing).open()
    await library.add("places.pdf", TOWER, BRIDGE)
    failing.error = BackEndFailed("The segment is torn.")
    assert (await library.found("bridge Konstanz"))[0][0] == BRIDGE
    await says(library, "torn")
    await library.add("ferry.pdf", FERRY)
    failing.error = OutOfSpace("The disk is full.")
    await says(library, "disk is full")
    failing.error = ZeroDivisionError("a bug")
    await says(library, "the log says why")
    failing.error = None
    await says(library, "")
    assert library.vector_ids() == set(library.store.chunks.ready())
    failing.kept = {}
    assert (await library.found("bridge Konstanz"))[0] == []  # it is asked
    library.close()


@pytest.mark.parametrize("error", [BackEndFailed("torn"), OutOfSpace("full"), KeyError("a bug")])
async def test_a_repair_that_fails_at_the_start_is_done_as_soon_as_it_can_be(
    failing: FailingVectors, tmp_path: Path, error: Exception
) -> None:
    library = Library(tmp_path, vectors=failing).open(vectors_behind=True)
    failing.error = error
    with pytest.raises(type(error)):
        await library.index.repair()
    failing.error = None
    await says(library, "")
    library.close()


async def test_a_repair_puts_nothing_back_of_an_import_that_was_taken_out(library: Library) -> None:
    document = await library.add("coming.pdf", TOWER, ready=False)
    await library.index.remove(document)
    await library.index.repair()
    library.store.documents.remove(document.id)
    assert library.vector_ids() == set()


class SilentVectors(MemoryVectors):
    """Says nothing to a question, until all are told that it is away."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.time_is_up = threading.Event()

    def query(self, where: VectorSet, vectors: Vectors, limit: int) -> list[list[Scored]]:
        """Make the thread that asks wait."""
        self.asked += 1
        self.time_is_up.wait(120)
        raise Unavailable("It does not answer.")


async def test_a_vector_store_that_is_silent_leaves_threads_for_everything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.index.dense.FIRST_PAUSE_SECONDS", 600.0)  # until it is asked again
    silent = SilentVectors()
    library = Library(tmp_path, vectors=silent).open()
    document = await library.add("places.pdf", TOWER)
    vectors, version = await library.embedder.embed_passages([TOWER])
    found: list[Sequence[Sequence[Scored]]] = []

    async def ask() -> None:
        found.append(
            await library.index.dense.nearest([document.collection_id], vectors, version, 1)
        )

    async with anyio.create_task_group() as questions:
        for _ in range(45):
            questions.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(30) as waited:
            await run_sync(library.store.database.check)
        silent.time_is_up.set()
    assert not waited.cancelled_caught
    assert silent.asked == ASKED_AT_ONCE
    assert [len(hits) for ((*hits,),) in found] == [1] * 45
    library.close()


async def test_a_chunk_is_embedded_under_what_says_something_of_its_document(
    library: Library,
) -> None:
    document = await library.add("annual_report.pdf", "It sold many lamps.")
    chunk = Chunk(0, 1, "Sales", "It sold many lamps.", 5)
    titled = replace(document, title="Lamps of Lindau")
    number = replace(document, title="0000012927-23-000007")
    hashed = replace(titled, name="379f44022bb27aa53efd5d322c7b57bf.pdf")
    assert embedded_text(titled, chunk).splitlines() == [
        "annual report Lamps of Lindau",
        "Sales",
        "It sold many lamps.",
    ]
    assert embedded_text(number, chunk).startswith("annual report\n")
    assert embedded_text(hashed, chunk).startswith("Lamps of Lindau\n")
