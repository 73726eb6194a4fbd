"""Tables on their shelf: each whole or not there, found by its name in any case, and replaced at once."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from api.data_folder.shelf import Shelf
from api.errors import InvalidName, NameTaken
from api.tables.refusals import TableNotFound
from api.tables.shelf import Column, Contents, Tables

pytestmark = pytest.mark.anyio


def filled(text: str, rows: int = 1) -> tuple[Mapping[str, Any], Callable[[Path], Contents]]:
    """Arguments of `add`."""

    def fill(path: Path) -> Contents:
        path.write_text(text)
        if text == "broken":
            raise ValueError(text)
        return Contents([Column("a", "text")], rows)

    return ({"kind": "test"}, fill)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "tables", "tb", "table", "default")


async def test_a_table_is_found_replaced_and_deleted_by_its_name(shelf: Shelf) -> None:
    tables = Tables(shelf)
    first = await tables.add("Faq", *filled("one"))
    assert (await tables.get("fAQ")) == first == (await tables.get(first.id))
    with pytest.raises(NameTaken):
        await tables.add("faq", *filled("two"))
    second = await tables.add("FAQ", *filled("three", 3), replaces=True)
    assert tables.path("faq").read_text() == "three"
    assert [one.id for one in tables.all()] == [second.id]
    assert len(list(shelf.path.iterdir())) == 1
    assert (await tables.delete("faq")).rows == 3
    assert not list(shelf.path.iterdir())
    for name in ("faq", "../faq", first.id):
        with pytest.raises(TableNotFound):
            tables.path(name)


async def test_what_fails_leaves_nothing(shelf: Shelf) -> None:
    tables = Tables(shelf)
    with pytest.raises(ValueError, match="broken"):
        await tables.add("faq", *filled("broken"))
    for name in ("", "1a", "a b", "a" * 64, "é"):
        with pytest.raises(InvalidName):
            await tables.add(name, *filled("one"))
    assert not list(shelf.path.iterdir())


async def test_of_two_that_come_at_once_one_is_taken(shelf: Shelf) -> None:
    tables = Tables(shelf)
    came = [tables.add("faq", *filled(text)) for text in "abc"]
    ended = await asyncio.gather(*came, return_exceptions=True)
    assert sorted(type(one).__name__ for one in ended) == ["NameTaken", "NameTaken", "Table"]
    assert len(list(shelf.path.iterdir())) == 1


async def test_a_version_that_a_dying_process_left_is_not_seen_and_goes(shelf: Shelf) -> None:
    tables = Tables(shelf)
    await tables.add("faq", *filled("old"))
    (old,) = shelf.path.iterdir()
    card = (old / "table.json").read_text()
    await tables.add("faq", *filled("new"), replaces=True)
    old.mkdir()
    (old / "table.json").write_text(card)
    assert len(await asyncio.to_thread(tables.all)) == 1
    assert tables.path("faq").read_text() == "new"
    tables.drop_replaced()
    assert len(list(shelf.path.iterdir())) == 1


async def test_another_workspace_sees_none_of_them(shelf: Shelf) -> None:
    made = await Tables(shelf).add("faq", *filled("one"))
    theirs = Tables(shelf.of("team"))
    assert theirs.all() == []
    for name in ("faq", made.id):
        with pytest.raises(TableNotFound):
            await theirs.get(name)
