"""What was read of the database is held until something is written to it."""

from pathlib import Path

import pytest

from api.models.remembered import Remembered
from api.store import open_store
from api.store.keys import Use

pytestmark = pytest.mark.anyio


async def test_it_is_read_once_until_something_is_written(tmp_path: Path) -> None:
    store, read = open_store(tmp_path / "state.db"), list[str]()

    def about(name: str) -> object:
        read.append(name)
        return store.model_defaults.get(name)

    held = Remembered(store.database, about)
    assert [await held.of("small") for _ in range(3)] == [{}] * 3
    store.model_defaults.put("small", {"options": {"seed": 1}})
    assert [await held.of("small") for _ in range(2)] == [{"options": {"seed": 1}}] * 2
    assert read == ["small"] * 2
    store.keys.record([Use("key_1", "a", "default", "small", "2026-01-01", 1, 1, 1)], [])
    await held.of("small")
    assert read == ["small"] * 2, "figures of usage are written every two seconds"
    store.close()


async def test_what_is_written_while_it_is_read_is_seen_by_the_next(tmp_path: Path) -> None:
    store = open_store(tmp_path / "state.db")

    def about(name: str) -> object:
        found = store.model_defaults.get(name)
        if not found:
            store.model_defaults.put(name, {"options": {"seed": 1}})
        return found

    held = Remembered(store.database, about)
    assert [await held.of("small") for _ in range(2)] == [{}, {"options": {"seed": 1}}]
    store.close()
