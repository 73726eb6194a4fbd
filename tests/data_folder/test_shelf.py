"""Things that describe themselves: whole from the moment they have their name, and nobody else's harmed."""

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from api.data_folder.shelf import Shelf, readable
from api.errors import NotFound
from api.evaluation.values import Evaluation
from api.sweeps.values import from_card as sweep

AGES = itertools.count()


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "things", "th", "thing")


def add(shelf: Shelf, content: str = "") -> str:
    id = shelf.new_id()
    with shelf.growing(id) as folder:
        (folder / "content").write_text(content)
        shelf.place(folder, id, {"content": content, "created_at": str(next(AGES))})
    return id


def test_what_was_placed_is_found_listed_and_removed(shelf: Shelf) -> None:
    first, second = add(shelf, "a"), add(shelf, "b")
    assert (shelf.find(first) / "content").read_text() == "a"
    assert shelf.card(second)["content"] == "b"
    assert list(shelf.all()) == [second, first]
    shelf.update(first, {"content": "c", "created_at": "0"})
    assert shelf.card(first)["content"] == "c"
    shelf.remove(first)
    assert list(shelf.all()) == [second]
    assert [path.name for path in shelf.path.iterdir()] == [second]


def test_what_broke_off_leaves_nothing_or_is_swept(shelf: Shelf) -> None:
    with pytest.raises(ValueError, match="broken"), shelf.growing(shelf.new_id()):
        raise ValueError("broken")
    assert not list(shelf.path.iterdir())
    half = shelf.path / ".new-th_0123456789abcdef"
    half.mkdir()
    shelf.sweep()
    assert not half.exists()


@pytest.mark.parametrize("id", ["", "..", "th_0", "../things", "th_0123456789abcdef", "other"])
def test_what_is_no_thing_is_not_found(shelf: Shelf, id: str) -> None:
    (shelf.path / "other").mkdir(parents=True)
    (shelf.path / "th_0123456789abcdef").mkdir()
    with pytest.raises(NotFound, match="No thing"):
        shelf.find(id)


def test_what_others_keep_there_stays(shelf: Shelf) -> None:
    add(shelf)
    (shelf.path / "notes.txt").write_text("mine")
    (shelf.path / ".new-mine").mkdir()
    shelf.sweep()
    assert len(shelf.all()) == 1
    assert {path.name for path in shelf.path.iterdir()} >= {"notes.txt", ".new-mine"}


@pytest.mark.parametrize("read", [Evaluation.of, sweep])
def test_a_card_that_was_damaged_by_hand_hides_no_other(
    shelf: Shelf, read: Callable[[str, Mapping[str, Any]], object]
) -> None:
    add(shelf)
    assert readable(shelf.all(), read) == []
