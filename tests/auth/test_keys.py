"""Keys over a real database: what is stored of them, and which open."""

import asyncio
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from api.auth.callers import Caller
from api.auth.keyring import Keyring
from api.auth.keys import KeyCatalog, Wanted, expiry
from api.auth.refusals import KeyBlocked, KeyExpired, KeyNotFound, WrongKey
from api.auth.usage import Usage
from api.errors import ApiError, InvalidOption
from api.store import Store
from api.store.keys import Key, Use
from tests.databases import open_migrated

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
PAST = "2020-01-01T00:00:00+00:00"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_migrated(tmp_path / "state.sqlite3")
    yield store
    store.close()


@pytest.fixture
def catalog(store: Store) -> KeyCatalog:
    return KeyCatalog(store.keys)


@pytest.fixture
def keyring(store: Store) -> Keyring:
    keyring = Keyring(store)
    keyring.read()
    return keyring


def test_the_text_of_a_key_is_stored_nowhere(catalog: KeyCatalog, tmp_path: Path) -> None:
    key, text = catalog.create(Wanted(alias="n8n"))
    assert text.startswith(key.prefix)
    assert text.endswith(key.last_four)
    assert len(text) == len("sk-llm-") + 43  # 32 bytes
    stored = b"".join(file.read_bytes() for file in tmp_path.glob("state.sqlite3*"))
    assert text.encode() not in stored
    assert text[len(key.prefix) : -4].encode() not in stored


def test_a_key_may_use_and_nothing_else_unless_it_is_said(catalog: KeyCatalog) -> None:
    key, _ = catalog.create(Wanted(alias=" n8n "))
    assert (key.alias, key.workspace, key.scopes, key.models) == ("n8n", "default", ["use"], None)
    other, _ = catalog.create(
        Wanted(alias="b", workspace="sales", scopes=["train", "use"], models=["demo", "demo"])
    )
    assert (other.workspace, other.scopes) == ("sales", ["use", "train"])
    assert other.models == ["demo"]
    assert [one.id for one in catalog.all()] == [key.id, other.id]


@pytest.mark.parametrize(
    ("wanted", "where"),
    [
        (Wanted(), "alias"),
        (Wanted(alias="a\nb"), "alias"),
        (Wanted(alias="a", workspace="No Such"), "workspace"),
        (Wanted(alias="a", scopes=[]), "scopes"),
        (Wanted(alias="a", scopes=["root"]), "scopes"),  # type: ignore[list-item]
        (Wanted(alias="a", models=["m" * 300]), "models"),
        (Wanted(alias="a", expires="soon"), "expires"),
        (Wanted(alias="a", expires="2020-01-01"), "expires"),
        (Wanted(alias="a", requests_per_minute=-1), "requests_per_minute"),
    ],
)
def test_what_cannot_be_is_refused_by_name(catalog: KeyCatalog, wanted: Wanted, where: str) -> None:
    with pytest.raises(ApiError) as caught:
        catalog.create(wanted)
    assert caught.value.extra["where"] == where
    assert catalog.all() == []


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("12h", NOW + timedelta(hours=12)),
        ("30D", NOW + timedelta(days=30)),
        ("2026-06-01", datetime(2026, 6, 1, tzinfo=UTC)),
        ("2026-06-01T12:00:00+02:00", datetime(2026, 6, 1, 10, tzinfo=UTC)),
        ("2026-06-01T12:00:00Z", datetime(2026, 6, 1, 12, tzinfo=UTC)),
    ],
)
def test_when_a_key_ends(text: str, at: datetime) -> None:
    assert expiry(text, NOW) == at.isoformat()
    assert expiry("never", NOW) is None


def test_a_time_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(InvalidOption):
        expiry("0001-01-01T00:00:00+14:00", NOW)
    with pytest.raises(InvalidOption):
        expiry("9999-12-31T23:00:00-14:00", NOW)


def test_why_a_key_does_not_open(store: Store, catalog: KeyCatalog, keyring: Keyring) -> None:
    assert keyring.is_empty
    key, text = catalog.create(Wanted(alias="n8n", models=["Demo:latest"]))
    keyring.look()
    held = keyring.find(text)
    assert (held.caller.key_id, held.caller.alias) == (key.id, "n8n")
    assert held.caller.may_use("demo")
    assert not held.caller.may_use("other")
    with pytest.raises(WrongKey):
        keyring.find(text + "x")
    catalog.change(key.id, Wanted(blocked=True))
    keyring.look()
    with pytest.raises(KeyBlocked):
        keyring.find(text)
    store.keys.change(key.id, blocked=False, expires_at=PAST)
    keyring.look()
    with pytest.raises(KeyExpired):
        keyring.find(text)
    assert not keyring.is_empty, "an ended key does not open the service to everybody"
    catalog.revoke(key.id)
    keyring.look()
    with pytest.raises(WrongKey):
        keyring.find(text)


def test_a_change_from_elsewhere_is_seen(tmp_path: Path, keyring: Keyring) -> None:
    elsewhere = open_migrated(tmp_path / "state.sqlite3")
    catalog = KeyCatalog(elsewhere.keys)
    key, text = catalog.create(Wanted(alias="n8n"))
    keyring.look()
    assert keyring.find(text).caller.key_id == key.id
    catalog.revoke(key.id)
    elsewhere.close()
    keyring.look()
    assert keyring.is_empty


def test_a_rotated_key_has_a_new_text_and_a_grace_for_the_old_one(
    store: Store, catalog: KeyCatalog, keyring: Keyring
) -> None:
    key, first = catalog.create(Wanted(alias="n8n", requests_per_minute=5))
    changed, second = catalog.rotate(key.id, 60)
    keyring.look()
    assert (changed.id, changed.requests_per_minute) == (key.id, 5)
    assert keyring.find(first).caller == keyring.find(second).caller
    store.keys.change(key.id, former_until=PAST)
    keyring.look()
    with pytest.raises(KeyExpired):
        keyring.find(first)
    _, third = catalog.rotate(key.id, 0)
    keyring.look()
    keyring.find(third)
    for former in (first, second):
        with pytest.raises(WrongKey):
            keyring.find(former)


def test_a_grace_does_not_outlive_the_key(
    store: Store, catalog: KeyCatalog, keyring: Keyring
) -> None:
    key, text = catalog.create(Wanted(alias="n8n"))
    catalog.rotate(key.id, 3600)
    store.keys.change(key.id, expires_at=PAST)
    keyring.look()
    with pytest.raises(KeyExpired):
        keyring.find(text)


def test_an_admin_of_another_workspace_manages_the_keys_of_its_own(catalog: KeyCatalog) -> None:
    ours, _ = catalog.create(Wanted(alias="a"))
    catalog.create(Wanted(alias="b", workspace="sales"))
    admin = Caller("key_9", "admin", "sales", frozenset({"admin"}))
    theirs = catalog.of(admin)
    assert [one.alias for one in theirs.all()] == ["b"]
    made, _ = theirs.create(Wanted(alias="c"))
    assert made.workspace == "sales"
    with pytest.raises(InvalidOption):
        theirs.create(Wanted(alias="d", workspace="default"))
    for call in (theirs.get, theirs.revoke):
        with pytest.raises(KeyNotFound):
            call(ours.id)
    with pytest.raises(KeyNotFound):
        theirs.rotate(ours.id, 0)
    with pytest.raises(KeyNotFound):
        theirs.change(ours.id, Wanted(blocked=True))


def test_a_change_leaves_what_it_does_not_name(catalog: KeyCatalog) -> None:
    key, _ = catalog.create(Wanted(alias="a", models=["demo"], expires="30d", tokens_per_minute=9))
    assert catalog.change(key.id, Wanted()) == key
    changed = catalog.change(
        key.id, Wanted(models=["*"], expires="never", tokens_per_minute=0, scopes=["admin"])
    )
    assert asdict(changed) == {
        **asdict(key),
        "models": None,
        "expires_at": None,
        "tokens_per_minute": None,
        "scopes": ["admin"],
    }


class Failing:
    """Keys that cannot be read or written until they can, and not for a reason that anyone foresaw."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.fails = True

    def all(self) -> list[Key]:
        if self.fails:
            raise ValueError("a defect")
        return self._store.keys.all()

    def record(self, *what: Any) -> None:
        if self.fails:
            raise ValueError("a defect")
        self._store.keys.record(*what)


@pytest.mark.anyio
async def test_who_follows_outlives_a_defect_and_loses_nothing(
    store: Store, catalog: KeyCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.auth.usage.WRITE_SECONDS", 0.01)
    monkeypatch.setattr("api.auth.keyring.LOOK_SECONDS", 0.01)
    key, text = catalog.create(Wanted(alias="n8n"))
    failing = Failing(store)
    usage, keyring = Usage(failing), Keyring(replace(store, keys=failing))  # type: ignore[arg-type]
    usage.add(Caller(key.id, "n8n", "default", frozenset({"use"})), "demo", 10, 5)
    tasks = [asyncio.create_task(one.follow()) for one in (usage, keyring)]
    await asyncio.sleep(0.1)
    failing.fails = False
    async with asyncio.timeout(30):
        while not keyring.is_known or not store.keys.used("2000-01-01"):
            await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert keyring.find(text).caller.key_id == key.id
    (use,) = store.keys.used("2000-01-01")
    assert (use.requests, use.prompt_tokens, use.completion_tokens) == (1, 10, 5)


@pytest.mark.anyio
async def test_uses_add_up_by_key_model_and_day_and_outlive_the_key(
    store: Store, catalog: KeyCatalog
) -> None:
    key, _ = catalog.create(Wanted(alias="n8n"))
    caller = Caller(key.id, key.alias, key.workspace, frozenset({"use"}))
    usage = Usage(store.keys)
    for model, prompt, completion in (("demo", 10, 5), ("demo", 1, 2), ("ada", 7, 0)):
        usage.saw(caller)
        usage.add(caller, model, prompt, completion)
    await usage.write()
    usage.add(caller, "demo", 100, 100)
    await usage.write()
    await usage.write()
    assert catalog.get(key.id).last_used_at is not None
    catalog.revoke(key.id)
    day = datetime.now(UTC).date().isoformat()
    assert store.keys.used("2000-01-01") == [
        Use(key.id, "n8n", "default", "ada", day, 1, 7, 0),
        Use(key.id, "n8n", "default", "demo", day, 3, 111, 107),
    ]
    assert store.keys.used("2000-01-01", "key_2") == []
    assert store.keys.used("2000-01-01", None, "sales") == []
    assert store.keys.used("9000-01-01") == []
