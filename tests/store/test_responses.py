"""Responses are kept by their last use, each with all that was said before it."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from api.store import Store
from api.store.responses import MOST_ITEMS, MOST_TURNS, Item, Kept, KeptResponse, Responses
from tests.databases import open_migrated

ROOM = 10_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """As it is opened."""
    store = open_migrated(tmp_path / "state.sqlite3")
    yield store
    store.close()


def put(
    rows: Responses,
    id: str,
    previous: str = "",
    now: float = 0,
    input: Sequence[Item] = (),
    **kept: Any,
) -> None:
    said = input or [{"id": f"said_{id}", "text": f"to {id}"}]
    came = [{"id": f"came_{id}", "text": f"of {id}"}]
    one = KeptResponse(id, previous, {"id": id}, said, came)
    rows.put(one, now, Kept(**{"most": ROOM, "since": -1, "most_bytes": 10**9, **kept}))


def texts(rows: Responses, id: str, since: float = 0) -> list[str]:
    return [item["text"] for item in rows.chain(id, since, ROOM).items]


def test_a_chain_is_all_that_was_said_in_its_order(store: Store) -> None:
    rows = store.of("default").responses
    for id, previous in (("a", ""), ("b", "a"), ("c", "b"), ("other", "a")):
        put(rows, id, previous)
    assert texts(rows, "c") == ["to a", "of a", "to b", "of b", "to c", "of c"]
    assert (rows.items(["said_b", "came_c", "made up"], 0, ROOM) or {}).keys() == {
        "said_b",
        "came_c",
    }
    assert rows.chain("c", 0, 40).is_too_long
    one = len(json.dumps({"id": "said_a", "text": "to a"}))
    assert rows.items(["said_a"] * 3, 0, 3 * one)
    assert rows.items(["said_a"] * 3, 0, 3 * one - 1) is None
    put(rows, "late", now=1, input=[{"id": "said_a", "text": "anew"}])
    assert rows.items(["said_a"], 0, ROOM) == {"said_a": {"id": "said_a", "text": "anew"}}
    rows.remove("a")
    assert rows.chain("c", 0, ROOM).missing == "a"
    assert rows.chain("made up", 0, ROOM).missing == "made up"


def test_what_is_gone_on_with_stays_and_the_least_used_go_first(store: Store) -> None:
    rows = store.of("default").responses
    put(rows, "long", now=1)
    put(rows, "lonely", now=2)
    put(rows, "goes on", "long", now=3, most=2)
    assert rows.get("lonely", 0) is None
    assert texts(rows, "goes on", since=3) == ["to long", "of long", "to goes on", "of goes on"]
    put(rows, "late", now=9, since=4)
    assert rows.get("long", 0) is None
    assert rows.items(["said_long"], 0, ROOM) == {}
    assert store.responses.forget_old(10) == 1


def test_conversations_go_whole_when_they_have_too_many_bytes(store: Store) -> None:
    rows, other = store.of("default").responses, store.of("team").responses
    put(other, "theirs", now=1)
    put(rows, "old", now=1)
    put(rows, "begun", now=2)
    put(rows, "goes on", "begun", now=3)
    one = [{"id": "said", "text": "x" * 100_000}]
    put(rows, "alone", now=4, input=one, most_bytes=101_700)  # and a conversation of two
    assert rows.get("old", 0) is None
    assert texts(rows, "goes on") == ["to begun", "of begun", "to goes on", "of goes on"]
    put(rows, "last", now=5, input=one, most_bytes=50_000)  # a bound that not even the last keeps
    assert [rows.get(id, 0) is None for id in ("begun", "goes on", "alone", "last")] == [
        *(True, True, True, False)
    ]
    assert other.get("theirs", 0)


def test_an_item_that_was_kept_again_and_again_is_found_at_once(store: Store) -> None:
    rows = store.of("default").responses
    with store.database.write() as connection:
        for number in range(2000):
            connection.exec_driver_sql(
                "INSERT INTO responses (id, made_at, used_at, response) VALUES (?, ?, ?, '{}')",
                (str(number), number, number),
            )
            connection.exec_driver_sql(
                "INSERT INTO response_items (response_id, number, item_id, is_output, item, made_at) "
                "VALUES (?, 0, 'again', 0, ?, ?)",
                (str(number), json.dumps({"number": number}), number),
            )
    steps = 0

    def counted() -> int:
        nonlocal steps
        steps += 1
        return 0

    with store.database.read() as connection:
        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(counted, 10)
    assert rows.items(["again", "never"], 0, ROOM) == {"again": {"number": 1999}}
    driver.set_progress_handler(None, 0)
    assert 0 < steps < 100  # ten of the database's own steps each: nothing is walked through


def test_a_workspace_has_its_own_and_its_own_bound(store: Store) -> None:
    first, team = store.of("default").responses, store.of("team").responses
    put(first, "a", now=1)
    put(team, "b", "a", now=2, most=1)
    assert first.get("a", 0)
    assert team.get("a", 0) is None
    assert team.chain("b", 0, ROOM).missing == "a"
    assert team.items(["said_a"], 0, ROOM) == {}
    assert not team.remove("a")


def test_a_chain_has_an_end(store: Store) -> None:
    rows = store.of("default").responses
    with store.database.write() as connection:
        for turn in range(MOST_TURNS + 1):
            values = (str(turn), str(turn - 1) if turn else "", "default", 0, 0, "{}")
            connection.exec_driver_sql(
                "INSERT INTO responses (id, previous, workspace, made_at, used_at, response) VALUES (?,?,?,?,?,?)",
                values,
            )
    assert rows.chain(str(MOST_TURNS), 0, ROOM).is_too_long
    assert not rows.chain(str(MOST_TURNS - 1), 0, ROOM).is_too_long


def test_a_chain_has_so_many_items(store: Store) -> None:
    rows = store.of("default").responses
    most = [{"id": str(number)} for number in range(MOST_ITEMS)]
    rows.put(KeptResponse("most", "", {}, most, []), 0, Kept(ROOM, -1, 10**9))
    assert len(rows.chain("most", 0, 10**9).items) == MOST_ITEMS
    put(rows, "one more", "most")
    assert rows.chain("one more", 0, 10**9).is_too_long
