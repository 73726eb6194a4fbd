"""Named databases: a stranger's SELECT reads and does nothing else, and nothing tells where they are."""

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from api.errors import TooManyRequests
from api.runtime.fair import ASKING, Asking
from api.settings.values import Database as Setting
from api.tables.databases import COPIES_OF_A_KEY, MOST_WAITING, PLACES, Database, Databases
from api.tables.refusals import DatabaseAway, DatabaseNotFound
from api.tables.select_child import answered
from api.tables.selected import _request, write_selected
from tests.tables.conftest import new_database
from tests.tables.shop import Shop

WRITING = (
    "DELETE FROM items",
    "INSERT INTO items (id, name) VALUES (9, 'x')",
    "DROP TABLE items",
    "SELECT 1; DROP TABLE items",
    "SELECT 1; COMMIT; DROP TABLE items",
    "SELECT 1) AS q; DROP TABLE items; SELECT * FROM (SELECT 1",
    "WITH gone AS (DELETE FROM items RETURNING *) SELECT * FROM gone",
    "CREATE TABLE more (id INTEGER)",
    "PRAGMA writable_schema = 1",
    "ATTACH 'other.sqlite3' AS other",
    "VACUUM INTO 'copy.sqlite3'",
    "COPY items TO PROGRAM 'true'",
    "COPY items TO '/tmp/items.csv'",
    "SELECT * INTO more FROM items",
    "SELECT lo_create(0)",
    "SELECT nextval('numbers')",
    "SET TRANSACTION READ WRITE",
    "SELECT load_extension('x')",
    "SELECT fts3_tokenizer('simple')",
    "SELECT * FROM pragma_database_list",
    "SELECT * FROM items FOR UPDATE",
    "",
)


def selected(database: Database, sql: str) -> dict[str, Any]:
    """What the child answers, run here."""
    asked = {"limit": 10_000, "max_bytes": 2**30}
    return answered(json.loads(_request(database, sql, asked)), lambda _: None)


def test_a_select_is_read_with_its_columns(shop: Shop) -> None:
    database = shop.stocked(2500).opened()
    said = selected(database, "SELECT id, name AS item FROM items WHERE id > 3 ORDER BY id")
    assert (said["columns"], len(said["rows"])) == (["id", "item"], 2497)
    assert said["rows"][0] == [4, "item 4"]
    percent = selected(database, "SELECT name FROM items WHERE name LIKE '%m 7' AND ':x' <> '%s'")
    assert percent["rows"] == [["item 7"]]


def test_nothing_but_one_select_runs(shop: Shop) -> None:
    shop.stocked(3).run("CREATE TABLE other (id INTEGER)")
    database = shop.opened(write=True)
    for sql in WRITING:
        said = selected(database, sql)
        assert said["refused"] == "QueryUnusable", sql
        assert shop.url.partition("://")[2] not in said["detail"]
        assert len(shop.rows("SELECT * FROM items")) == 3, sql
        assert selected(database, "SELECT count(*) FROM items")["rows"] == [[3]], "it goes on"


def test_a_query_that_is_no_text_is_refused(shop: Shop) -> None:
    assert "surrogate" in selected(shop.stocked(1).opened(), "SELECT '\ud800'")["detail"]


def test_what_json_has_no_form_for_becomes_null_or_a_text(postgres: str, tmp_path: Path) -> None:
    shop = Shop(new_database(postgres))
    numbers = "'NaN'::numeric AS a, '1e400'::numeric AS b, 2.5 AS c, 9007199254740993 AS d"
    sql = f"SELECT {numbers}, ARRAY[1.5, 'NaN'::numeric] AS e, ARRAY[date '2026-05-31'] AS f"
    assert selected(shop.opened(), sql)["rows"] == [
        [None, "1" + "0" * 400, 2.5, "9007199254740993", [1.5, None], ["2026-05-31"]]
    ]
    asyncio.run(write_selected(shop.opened(), sql, tmp_path / "rows", 10))
    (row,) = map(json.loads, (tmp_path / "rows").read_text().splitlines())
    assert list(row.values()) == [
        *(None, "1" + "0" * 400, 2.5, 9007199254740993),
        *([1.5, None], ["2026-05-31"]),
    ]
    shop.close()


def test_a_time_that_python_has_no_value_for_is_told_as_it_is_written(
    postgres: str, tmp_path: Path
) -> None:
    shop = Shop(new_database(postgres))
    times = ["date 'infinity'", "timestamp '-infinity'", "timestamptz 'infinity'"]
    times += ["date '0044-03-15 BC'", "timestamp '20000-01-01'", "time '24:00'", "timetz '24:00+2'"]
    times += ["ARRAY[date 'infinity', '2026-05-31']", "date '2026-05-31'"]
    written: list[Any] = [
        "infinity",
        "-infinity",
        "infinity",
        "0044-03-15 BC",
        "20000-01-01 00:00:00",
    ]
    written += ["24:00:00", "24:00:00+02", ["infinity", "2026-05-31"], "2026-05-31"]
    sql = f"SELECT {', '.join(f'{one} AS c{place}' for place, one in enumerate(times))}"
    assert selected(shop.opened(), sql)["rows"] == [written]
    asyncio.run(write_selected(shop.opened(), sql, tmp_path / "rows", 10))
    assert list(json.loads((tmp_path / "rows").read_text()).values()) == written
    odd = "SELECT set_config('DateStyle', 'German', false), timestamptz '2026-05-31 12:00:00'"
    ((_, told),) = selected(shop.opened(), f"{odd} FROM generate_series(1, 1)")["rows"]
    assert told.startswith(("31.05.2026 12:00:00", "2026-05-31T12:00:00"))
    shop.close()


def test_what_a_select_keeps_in_its_session_ends_with_it(postgres: str) -> None:
    shop = Shop(new_database(postgres))
    database = shop.opened()
    selected(database, "SELECT pg_advisory_lock(7), set_config('statement_timeout', '0', false)")
    for _ in range(100):
        ((is_held,),) = shop.rows("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
        if not is_held:
            break
        time.sleep(0.05)
    assert not is_held
    shop.close()


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////nowhere/secret-place.sqlite3",
        "postgresql://ada:secret-word@127.0.0.1:1/secret-place",
    ],
)
def test_of_a_database_that_is_away_nothing_is_told_but_its_name(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    database = Database("shop", Setting.model_validate({"url": url}))
    with pytest.raises(DatabaseAway) as away:
        database.check()
    said = selected(database, "SELECT 1")
    assert said == {"refused": "DatabaseAway", "detail": away.value.detail}
    told = away.value.detail + caplog.text
    assert "'shop' cannot be reached" in told
    assert "secret" not in told
    assert "secret-word" not in repr(vars(database))


def test_a_database_is_there_for_the_workspaces_that_the_setting_names(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a"
    given = {
        "shop": Setting.model_validate({"url": url}),
        "team": Setting.model_validate({"url": url, "workspaces": ["team", "other"]}),
        "all": Setting.model_validate({"url": url, "workspaces": ["*"]}),
    }
    databases = Databases(given)
    assert [one.name for one in databases.of("default")] == ["shop", "all"]
    assert [one.name for one in databases.of("team")] == ["team", "all"]
    assert databases.find("team", "other").name == "team"
    with pytest.raises(DatabaseNotFound, match="Databases: all"):
        databases.find("shop", "nobody")


def test_a_key_that_copies_much_holds_no_other_up() -> None:
    databases, over = Databases({}), threading.Event()

    async def asked(key: str, work: Callable[[], Any]) -> Any:
        ASKING.set(Asking(key))
        async with databases.copying():
            return await databases.blocking(work)

    async def many() -> list[Any]:
        count = COPIES_OF_A_KEY + MOST_WAITING + 1
        greedy = [asyncio.create_task(asked("one", lambda: over.wait(120))) for _ in range(count)]
        await asyncio.sleep(0)
        try:
            assert await asyncio.wait_for(asked("other", lambda: 1), 60) == 1
        finally:
            over.set()
        return await asyncio.gather(*greedy, return_exceptions=True)

    refused = [one for one in asyncio.run(many()) if isinstance(one, TooManyRequests)]
    assert len(refused) == 1
    assert "wait for a copy of a SELECT" in refused[0].detail


def test_keys_that_wait_for_a_place_take_turns() -> None:
    databases, one_free, all_free = Databases({}), threading.Event(), threading.Event()
    served: list[str] = []

    async def asked(key: str, work: Callable[[], Any]) -> None:
        ASKING.set(Asking(key))
        await databases.in_thread(work)

    async def many() -> None:
        holders = [one_free, *[all_free] * (PLACES - 1)]
        holding = [asyncio.create_task(asked("one", partial(held.wait, 120))) for held in holders]
        waiting = [
            asyncio.create_task(asked(key, partial(served.append, key)))
            for key in ("one", "one", "one", "other")
        ]
        await asyncio.sleep(0)
        one_free.set()
        await asyncio.gather(*waiting)
        all_free.set()
        await asyncio.gather(*holding)

    asyncio.run(many())
    assert "other" in served[:2]
