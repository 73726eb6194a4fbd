"""`vector_stores` with the stock SDK: made, filled, searched by attributes, expired and deleted."""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import openai
import pytest

from api.errors import Unavailable
from api.routes.openai.vector_store_files import AttributesRequest
from api.routes.openai.vector_store_objects import FileRequest
from api.store.collection_cards import CollectionCards
from api.store.collection_files import NewFile
from api.vector_stores import attaching
from api.vector_stores.attaching import AT_ONCE
from tests.routes.openai.conftest import sdk_over
from tests.routes.openai.test_hostile import is_in_form, requests
from tests.service import Service, open_service, settled

TOWER = "The Harrow lighthouse has a tower of thirty metres and a red lantern."
CANTEEN = "The canteen of the Marlow works opens at noon and closes at two."
CHUNK_SIZE = "chunking_strategy.static.max_chunk_size_tokens"
SDK = openai.OpenAI
WAIT_SECONDS = 60


def sent(sdk: SDK, text: str | bytes = TOWER, name: str = "tower.txt") -> str:
    """The id of a file."""
    content = text.encode() if isinstance(text, str) else text
    return sdk.files.create(file=(name, content), purpose="assistants").id


def added(sdk: SDK, store: str, file: str, **attributes: Any) -> Any:
    """The file in the store, as it has ended."""
    return sdk.vector_stores.files.create_and_poll(
        file, vector_store_id=store, attributes=attributes, poll_interval_ms=20
    )


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < end, "in vain"
        time.sleep(0.02)


def counts(sdk: SDK, store: str) -> dict[str, int]:
    """What there is of each state."""
    told = sdk.vector_stores.retrieve(store).file_counts.model_dump()
    assert told.pop("total") == sum(told.values())
    return {status: count for status, count in told.items() if count}


def embedded(service: Service, text: str) -> int:
    """How many times a text was embedded for the documents."""
    return sum(text in one for one in service.runtime.embedded)


def test_a_store_is_filled_and_searched(sdk: SDK) -> None:
    store = sdk.vector_stores.create(name="Handbook", metadata={"team": "blue"})
    assert (store.name, store.status, store.file_counts.total) == ("Handbook", "completed", 0)
    file = sdk.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=("tower.txt", TOWER.encode()), poll_interval_ms=20
    )
    assert (file.status, file.usage_bytes) == ("completed", len(TOWER))
    store = sdk.vector_stores.retrieve(store.id)
    assert (store.file_counts.completed, store.usage_bytes) == (1, len(TOWER))
    page = sdk.vector_stores.search(store.id, query="How tall is the lighthouse tower?")
    (found,) = page.data
    assert (found.file_id, found.filename) == (file.id, "tower.txt")
    assert found.content[0].text == TOWER
    assert found.model_extra is not None
    assert found.model_extra["page"] == 1
    pages = sdk.vector_stores.files.content(file.id, vector_store_id=store.id)
    assert [one.text for one in pages] == [TOWER]
    assert not sdk.vector_stores.search(
        store.id, query=["tower", "lantern"], ranking_options={"score_threshold": 1.0}
    ).data


def test_names_need_not_be_unique_and_are_names_of_collections_where_they_can(
    sdk: SDK, service: Service
) -> None:
    names = ["Handbook", "Handbook", "", "demo", "no/name"]
    made = [sdk.vector_stores.create(name=name) for name in names]
    assert [one.name for one in made] == names
    assert [one.name for one in sdk.vector_stores.list(order="asc")] == names
    collections = [(one.model_extra or {})["collection"] for one in made]
    assert collections == ["Handbook", *(one.id for one in made[1:])]
    assert service.client.get("/collections/Handbook").json()["id"] == made[0].id
    assert sdk.vector_stores.retrieve("Handbook").id == made[0].id
    assert service.client.post("/collections", json={"name": "ours"}).status_code == 201
    assert sdk.vector_stores.retrieve("ours").name == "ours"


def test_a_list_goes_on_and_back_page_by_page(sdk: SDK) -> None:
    ids = [sdk.vector_stores.create(name=str(number)).id for number in range(5)]
    assert [one.id for one in sdk.vector_stores.list(limit=2)] == ids[::-1]
    page = sdk.vector_stores.list(limit=2, before=ids[1])
    assert ([one.id for one in page.data], page.has_more) == ([ids[3], ids[2]], True)
    between = sdk.vector_stores.list(after=ids[0], before=ids[4], order="asc")
    assert [one.id for one in between.data] == ids[1:4]
    for wrong in ({"limit": 0}, {"limit": 101}, {"order": "up"}):
        with pytest.raises(openai.BadRequestError) as caught:
            sdk.vector_stores.list(extra_query=wrong)
        assert caught.value.param == next(iter(wrong))


def test_what_is_noted_of_a_store_changes(sdk: SDK) -> None:
    store = sdk.vector_stores.create(
        name="one", expires_after={"anchor": "last_active_at", "days": 7}
    )
    assert store.expires_at == (store.last_active_at or 0) + 7 * 86400
    store = sdk.vector_stores.update(store.id, name="two", metadata={"a": "b"})
    assert (store.name, store.metadata) == ("two", {"a": "b"})
    assert store.expires_after is not None
    store = sdk.vector_stores.update(store.id, expires_after=None)
    assert (store.name, store.metadata, store.expires_after) == ("two", {"a": "b"}, None)
    assert sdk.vector_stores.delete(store.id).deleted
    with pytest.raises(openai.NotFoundError):
        sdk.vector_stores.retrieve(store.id)


def test_what_cannot_be_noted_is_refused_by_its_member(sdk: SDK) -> None:
    def static(**sizes: int) -> dict[str, Any]:
        return {"chunking_strategy": {"type": "static", "static": sizes}}

    life = {"anchor": "last_active_at", "days": 0}
    for members, param in (
        ({"metadata": {"n": 1}}, "metadata.n"),
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata"),
        ({"expires_after": {**life, "anchor": "created_at"}}, "expires_after.anchor"),
        ({"expires_after": life}, "expires_after.days"),
        (static(max_chunk_size_tokens=800), "chunking_strategy.static.chunk_overlap_tokens"),
        (static(max_chunk_size_tokens=800, chunk_overlap_tokens=400), "chunking_strategy"),
        (static(max_chunk_size_tokens=99, chunk_overlap_tokens=8), CHUNK_SIZE),
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            sdk.vector_stores.create(extra_body=members)
        assert caught.value.param == param
    assert sdk.vector_stores.list().data == []
    assert sdk.vector_stores.create(
        extra_body=static(max_chunk_size_tokens=800, chunk_overlap_tokens=8)
    ).id


def test_attributes_choose_what_is_searched_before_it_is_scored(sdk: SDK) -> None:
    store = sdk.vector_stores.create().id
    tower = added(sdk, store, sent(sdk), year=1990, kind="tower")
    canteen = added(sdk, store, sent(sdk, CANTEEN, "canteen.txt"), year=2020)
    one = partial(sdk.vector_stores.search, store, query="the lighthouse tower", max_num_results=1)
    assert [found.file_id for found in one()] == [tower.id]
    assert [
        found.file_id for found in one(filters={"type": "gt", "key": "year", "value": 2000})
    ] == [canteen.id]
    assert not one(filters={"type": "eq", "key": "kind", "value": "ship"}).data
    changed = sdk.vector_stores.files.update(
        canteen.id, vector_store_id=store, attributes={"year": 1980, "old": True}
    )
    assert changed.attributes == {"year": 1980, "old": True}
    both = {
        "type": "and",
        "filters": [
            {"type": "lte", "key": "year", "value": 1990},
            {"type": "ne", "key": "kind", "value": "tower"},
        ],
    }
    (found,) = one(filters=both)  # type: ignore[arg-type]
    assert (found.file_id, found.attributes) == (canteen.id, {"year": 1980, "old": True})
    for filters, param in (
        ({"type": "like", "key": "a", "value": "b"}, "filters.type"),
        ({"type": "in", "key": "a", "value": "b"}, "filters"),
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            one(extra_body={"filters": filters})
        assert (caught.value.param or "").startswith(param)


def test_a_query_is_rewritten_by_a_model(sdk: SDK, service: Service) -> None:
    store = sdk.vector_stores.create().id
    added(sdk, store, sent(sdk))
    service.runtime.will_answer("1. How high is the lighthouse tower?")
    page = sdk.vector_stores.search(store, query="How tall is the tower?", rewrite_query=True)
    assert (page.model_extra or {})["search_query"] == [
        "How tall is the tower?",
        "How high is the lighthouse tower?",
    ]
    with pytest.raises(openai.NotFoundError, match="nobody"):
        sdk.vector_stores.search(
            store, query="tall", rewrite_query=True, extra_body={"model": "nobody"}
        )


def test_files_are_listed_by_state_and_taken_out_while_they_stay_files(sdk: SDK) -> None:
    store = sdk.vector_stores.create().id
    files = [sent(sdk, f"{TOWER} {number}", "same.txt") for number in range(3)]
    bad = sent(sdk, b"\x00\x01\x02", "bad.bin")
    for file in files:
        assert added(sdk, store, file).status == "completed"
    failed = added(sdk, store, bad)
    assert failed.last_error is not None
    assert (failed.status, failed.last_error.code) == ("failed", "unsupported_file")
    broken = added(sdk, store, sent(sdk, b"%PDF-1.7 broken", "broken.pdf"))
    assert broken.last_error is not None
    assert (broken.status, broken.last_error.code) == ("failed", "invalid_file")
    assert counts(sdk, store) == {"completed": 3, "failed": 2}
    list_files = partial(sdk.vector_stores.files.list, store)
    assert [one.id for one in list_files(filter="completed", order="asc", limit=2)] == files
    assert {one.id for one in list_files(filter="failed")} == {bad, broken.id}
    found = sdk.vector_stores.search(store, query="lighthouse")
    assert {one.filename for one in found} == {"same.txt"}
    assert sdk.vector_stores.files.delete(files[0], vector_store_id=store).deleted
    assert sdk.vector_stores.files.delete(bad, vector_store_id=store).deleted
    assert counts(sdk, store) == {"completed": 2, "failed": 1}
    assert sdk.files.retrieve(files[0]).id == files[0]
    for ask in (sdk.vector_stores.files.retrieve, sdk.vector_stores.files.content):
        with pytest.raises(openai.NotFoundError):
            ask(files[0], vector_store_id=store)
    assert sdk.files.delete(files[1]).deleted
    assert counts(sdk, store) == {"completed": 1, "failed": 1}
    assert added(sdk, store, files[0]).status == "completed"


def test_a_file_is_deleted_though_a_store_that_has_it_is_going(sdk: SDK, service: Service) -> None:
    store, file = sdk.vector_stores.create().id, sent(sdk)
    assert added(sdk, store, file).status == "completed"
    had = service.store.collection_files.find(store, file)
    assert had.document_id
    service.store.documents.mark_deleting([had.document_id])
    assert sdk.files.delete(file).deleted


def test_a_file_comes_though_the_database_fails_at_first(
    sdk: SDK, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attaching, "RETRY_SECONDS", 0.01)
    touch = CollectionCards.touch
    touched: list[Iterable[str]] = []

    def touch_or_fail(cards: CollectionCards, ids: Iterable[str]) -> None:
        touched.append(ids)
        if len(touched) == 2:  # the first time it is told to wait, then it is imported
            raise Unavailable("The database did not answer.")
        touch(cards, ids)

    monkeypatch.setattr(CollectionCards, "touch", touch_or_fail)
    store = sdk.vector_stores.create(file_ids=[sent(sdk)]).id
    until(lambda: counts(sdk, store) == {"completed": 1})


def test_a_store_that_is_named_twice_is_searched_once(sdk: SDK, service: Service) -> None:
    store = sdk.vector_stores.create(name="ours").id
    assert service.client.portal
    find = service.app.state.services.vector_stores.sources
    assert service.client.portal.call(find, [store, "ours"]).scope.ids == (store,)


def test_equal_bytes_are_read_and_embedded_once(sdk: SDK, service: Service) -> None:
    first, second = sent(sdk), sent(sdk, TOWER, "again.txt")
    store = sdk.vector_stores.create(file_ids=[first, second]).id
    other = sdk.vector_stores.create(file_ids=[second]).id
    until(lambda: counts(sdk, store) == {"completed": 2})
    until(lambda: counts(sdk, other) == {"completed": 1})
    assert embedded(service, TOWER) == 1
    assert len(service.house.kept()) == 1
    assert sdk.vector_stores.retrieve(store).usage_bytes == len(TOWER)
    sdk.vector_stores.files.update(second, vector_store_id=store, attributes={"n": 2})
    mine = {"type": "eq", "key": "n", "value": 2}
    (found,) = sdk.vector_stores.search(store, query="tower", filters=mine)  # type: ignore[arg-type]
    assert found.file_id == second
    (found,) = sdk.vector_stores.search(store, query="tower")
    sdk.vector_stores.files.delete(found.file_id, vector_store_id=store)
    (left,) = sdk.vector_stores.search(store, query="tower")
    assert {found.file_id, left.file_id} == {first, second}
    sdk.vector_stores.delete(store)
    settled(service)
    assert len(sdk.vector_stores.search(other, query="tower").data) == 1


def test_documents_that_came_on_the_other_paths_are_files_too(sdk: SDK, service: Service) -> None:
    store = sdk.vector_stores.create(name="ours").id
    came = service.client.post(
        "/importDocument", params={"collection": "ours"}, files={"file": ("a.txt", TOWER.encode())}
    ).json()
    (listed,) = sdk.vector_stores.files.list(store)
    assert (listed.id, listed.status, listed.attributes) == (came["id"], "completed", {})
    sdk.vector_stores.files.update(came["id"], vector_store_id=store, attributes={"a": 1})
    file = added(sdk, store, sent(sdk, TOWER, "b.txt"))
    assert counts(sdk, store) == {"completed": 2}
    sdk.vector_stores.files.delete(file.id, vector_store_id=store)
    (listed,) = sdk.vector_stores.files.list(store)
    assert (listed.id, listed.attributes) == (came["id"], {"a": 1})
    sdk.vector_stores.files.delete(came["id"], vector_store_id=store)
    assert counts(sdk, store) == {}
    documents = service.client.get("/list_documents", params={"collection": "ours"}).json()
    assert documents["documents"] == []


def test_many_files_come_as_a_batch(sdk: SDK) -> None:
    store = sdk.vector_stores.create().id
    batches = sdk.vector_stores.file_batches
    batch = batches.upload_and_poll(
        store, files=[("a.txt", TOWER.encode()), ("b.txt", CANTEEN.encode())], poll_interval_ms=20
    )
    assert (batch.status, batch.file_counts.completed, batch.file_counts.total) == (
        "completed",
        2,
        2,
    )
    files = [sent(sdk, "Some words of a third file."), sent(sdk, b"\x00\x01", "bad.bin")]
    each = [{"file_id": file, "attributes": {"place": n}} for n, file in enumerate(files)]
    batch = batches.create_and_poll(store, files=each, poll_interval_ms=20)  # type: ignore[arg-type]
    assert (batch.file_counts.completed, batch.file_counts.failed) == (1, 1)
    listed = batches.list_files(batch.id, vector_store_id=store, filter="completed")
    assert [(one.id, one.attributes) for one in listed] == [(files[0], {"place": 0})]
    assert counts(sdk, store) == {"completed": 3, "failed": 1}
    for wrong in ({}, {"file_ids": [files[0]], "files": each}):
        with pytest.raises(openai.BadRequestError) as caught:
            batches.create(store, extra_body=wrong)
        assert caught.value.param == "file_ids"


def test_a_batch_that_is_cancelled_keeps_what_has_come(sdk: SDK, service: Service) -> None:
    store = sdk.vector_stores.create().id
    ready = added(sdk, store, sent(sdk))
    service.runtime.available = False  # so that nothing can be embedded
    late = [sent(sdk, f"{CANTEEN} {number}") for number in range(AT_ONCE + 2)]
    batches = sdk.vector_stores.file_batches
    batch = batches.create(store, file_ids=[ready.id, *late])
    assert batch.status == "in_progress"
    assert sdk.vector_stores.retrieve(store).status == "in_progress"
    until(lambda: len(service.store.documents.all("importing")) == AT_ONCE)
    with pytest.raises(openai.InternalServerError, match="still on its way"):
        sdk.vector_stores.files.content(late[0], vector_store_id=store)
    assert counts(sdk, store) == {"completed": 1, "in_progress": len(late)}
    assert len(service.store.documents.all("importing")) == AT_ONCE
    batch = batches.cancel(batch.id, vector_store_id=store)
    told = batch.file_counts
    assert (batch.status, told.cancelled, told.completed) == ("cancelled", len(late), 1)
    service.runtime.available = True
    assert counts(sdk, store) == {"completed": 1, "cancelled": len(late)}
    assert added(sdk, store, late[0]).status == "completed"


def test_files_that_waited_when_the_service_ended_come_after_its_next_start(tmp_path: Path) -> None:
    with open_service(tmp_path) as service:
        sdk = sdk_over(service.client)
        store, file = sdk.vector_stores.create().id, sent(sdk)
        service.store.collection_files.add(store, [NewFile(file, "tower.txt", {"a": 1})])
    with open_service(tmp_path) as service:
        sdk = sdk_over(service.client)
        assert counts(sdk, store) == {"in_progress": 1}
        assert service.client.portal
        service.client.portal.call(
            lambda: _now(service.app.state.services.vector_stores.files.resume)
        )
        until(lambda: counts(sdk, store) == {"completed": 1})
        assert sdk.vector_stores.files.retrieve(file, vector_store_id=store).attributes == {"a": 1}


def sweep(service: Service, now: datetime) -> None:
    """A round of what expires."""
    assert service.client.portal
    service.client.portal.call(service.app.state.services.expiry.sweep, now)


async def _now(act: Callable[[], None]) -> None:
    act()


def test_an_expired_store_is_not_searched_and_loses_its_documents(
    sdk: SDK, service: Service
) -> None:
    life: Any = {"anchor": "last_active_at", "days": 1}
    store = sdk.vector_stores.create(expires_after=life).id
    kept = sdk.vector_stores.create(file_ids=[sent(sdk, CANTEEN)]).id
    file = added(sdk, store, sent(sdk)).id
    later = datetime.now(UTC) + timedelta(days=1)
    cards = service.store.collection_cards
    assert [one.id for one in cards.expired(later)] == [store]

    def leave_alone() -> None:
        cards.update(store, last_active_at=(later - timedelta(days=2)).isoformat())

    leave_alone()
    assert sdk.vector_stores.retrieve(store).status == "expired"
    for ask in (
        partial(sdk.vector_stores.search, store, query="tower"),
        partial(sdk.vector_stores.files.create, store, file_id=file),
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            ask()
        assert caught.value.code == "vector_store_expired"
    sdk.vector_stores.update(store, expires_after=life)
    assert len(sdk.vector_stores.search(store, query="tower").data) == 1
    leave_alone()
    sweep(service, datetime.now(UTC))
    assert (counts(sdk, store), counts(sdk, kept)) == ({}, {"completed": 1})
    assert sdk.vector_stores.retrieve(store).status == "expired"
    assert sdk.files.retrieve(file).id == file


def test_a_store_that_is_brought_back_during_the_round_keeps_its_documents(
    sdk: SDK, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    life: Any = {"anchor": "last_active_at", "days": 1}
    store = sdk.vector_stores.create(expires_after=life).id
    added(sdk, store, sent(sdk))
    stale = service.store.collection_cards.expired(datetime.now(UTC) + timedelta(days=2))
    assert [one.id for one in stale] == [store]
    monkeypatch.setattr(CollectionCards, "expired", lambda *_: stale)
    sweep(service, datetime.now(UTC))
    assert counts(sdk, store) == {"completed": 1}


@pytest.mark.usefixtures("trainable")
def test_a_file_leaves_its_stores_when_it_is_deleted_as_a_dataset(
    sdk: SDK, service: Service
) -> None:
    rows = ("rows.csv", b"prompt,completion\n" + b"Who?,Orlo.\n" * 12)
    store = sdk.vector_stores.create().id
    file = added(sdk, store, sdk.files.create(file=rows, purpose="fine-tune").id)
    assert file.status == "completed"
    assert service.client.delete(f"/datasets/{file.id}").status_code == 200
    assert counts(sdk, store) == {}


def test_a_file_leaves_its_stores_at_its_end(sdk: SDK, service: Service) -> None:
    file = sdk.files.create(
        file=("tower.txt", TOWER.encode()),
        purpose="assistants",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    store = sdk.vector_stores.create().id
    assert added(sdk, store, file.id).status == "completed"
    sweep(service, datetime.now(UTC))
    assert counts(sdk, store) == {"completed": 1}
    sweep(service, datetime.now(UTC) + timedelta(seconds=3601))
    assert counts(sdk, store) == {}


def test_what_is_searched_is_used(sdk: SDK, service: Service) -> None:
    store = sdk.vector_stores.create(name="ours").id
    cards = service.store.collection_cards
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    search = {"query": "tower", "collection": "ours"}
    for use in (
        lambda: sdk.vector_stores.search(store, query="tower"),
        lambda: service.client.post("/search", json=search).raise_for_status(),
        lambda: added(sdk, store, sent(sdk)),
    ):
        cards.update(store, last_active_at=long_ago.isoformat())
        use()
        assert cards.find(store)[1].last_active_at > long_ago


def test_nothing_hostile_about_files_is_a_defect(sdk: SDK, service: Service) -> None:
    store = sdk.vector_stores.create().id
    file = added(sdk, store, sent(sdk)).id
    path = f"/v1/vector_stores/{store}"
    for end, model, base in (
        (f"/files/{file}", AttributesRequest, {"attributes": {"a": 1}}),
        ("/files", FileRequest, {"file_id": file}),
    ):
        assert service.client.post(path + end, json=base).status_code == 200
        answers = [
            is_in_form(service.client, path + end, body) for _, body in requests(model, base)
        ]
        assert len(answers) > 10
        assert not any(answers), answers


def test_a_key_that_may_not_train_has_no_dataset_in_a_store(tmp_path: Path) -> None:
    with open_service(tmp_path, api_key="admin-of-all") as service:
        base = service.app.state.services.settings.base_models_dir / "demo"
        base.mkdir(parents=True)
        (base / "config.json").write_text("{}")
        admin = {"Authorization": "Bearer admin-of-all"}
        wanted = {"alias": "user", "scopes": ["use"]}
        key = service.client.post("/keys", json=wanted, headers=admin).json()["key"]
        rows = b'{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}\n'
        first, user = sdk_over(service.client, "admin-of-all"), sdk_over(service.client, key)
        file = first.files.create(file=("rows.jsonl", rows * 12), purpose="fine-tune").id
        store = user.vector_stores.create().id
        for ask in (
            partial(user.vector_stores.files.create, store, file_id=file),
            partial(user.vector_stores.create, file_ids=[file]),
        ):
            with pytest.raises(openai.PermissionDeniedError):
                ask()
