"""Named databases: a stranger's SELECT reads and does nothing else, and nothing tells where they are."""

import logging
import sqlite3
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import sqlalchemy as sa

from api.settings.values import Database as Setting
from api.tables.databases import Database, Databases
from api.tables.refusals import DatabaseAway, DatabaseNotFound, QueryUnusable
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


def selected(database: Database, sql: str) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    with database.select(sql) as found:
        return found.columns, list(found.rows)


def test_a_select_is_read_with_its_columns(shop: Shop) -> None:
    database = shop.stocked(2500).opened()
    columns, rows = selected(
        database, "SELECT id, name AS item FROM items WHERE id > 3 ORDER BY id"
    )
    assert (columns, len(rows), rows[0]) == (("id", "item"), 2497, (4, "item 4"))
    percent = selected(database, "SELECT name FROM items WHERE name LIKE '%m 7' AND ':x' <> '%s'")
    assert percent[1] == [("item 7",)]
    database.close()


def test_nothing_but_one_select_runs(shop: Shop) -> None:
    shop.stocked(3).run("CREATE TABLE other (id INTEGER)")
    database = shop.opened(write=True)
    for sql in WRITING:
        with pytest.raises(QueryUnusable) as refused:
            selected(database, sql)
        assert shop.url.partition("://")[2] not in refused.value.detail
        assert len(shop.rows("SELECT * FROM items")) == 3, sql
        assert selected(database, "SELECT count(*) FROM items")[1] == [(3,)], "it goes on"
    database.close()


def test_a_query_that_takes_too_long_ends(shop: Shop) -> None:
    database = shop.stocked(1).opened(statement_seconds=0.3)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    begun = time.monotonic()
    with pytest.raises(QueryUnusable, match=r"longer than the 0\.3 s"):
        selected(database, endless)
    assert time.monotonic() - begun < 5
    assert selected(database, "SELECT id FROM items")[1] == [(1,)]
    database.close()


def test_many_read_at_once(shop: Shop) -> None:
    database = shop.stocked(50).opened()
    together = Barrier(8)

    def count(_: int) -> int:
        together.wait(20)
        with database.select("SELECT a.id, b.id FROM items a, items b") as found:
            return sum(1 for _ in found.rows)

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(count, range(8))) == [2500] * 8
    database.close()


def test_long_texts_are_not_held_by_the_thousand(shop: Shop) -> None:
    shop.run("CREATE TABLE letters (id INTEGER)", "CREATE TABLE long (body TEXT)")
    shop.run("INSERT INTO long VALUES ('" + "x" * 2_000_000 + "')")
    shop.run("INSERT INTO letters VALUES " + ", ".join(["(1)"] * 40))
    database = shop.opened()
    with database.select("SELECT body FROM letters, long") as found:
        tracemalloc.start()
        assert sum(len(body) for (body,) in found.rows) == 80_000_000
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert most < 40_000_000
    database.close()


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
    database.close()
    shop.close()


def test_a_long_pattern_is_refused_by_sqlite(tmp_path: Path) -> None:
    shop = Shop(f"sqlite:///{tmp_path / 'a'}").stocked(1)
    with pytest.raises(QueryUnusable, match="pattern too complex"):
        selected(shop.opened(), f"SELECT name LIKE '{'%a' * 1000}b' FROM items")
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
    told = away.value.detail + caplog.text
    assert "'shop' cannot be reached" in told
    assert "secret" not in told
    assert "secret-word" not in repr(vars(database))


def test_a_database_that_others_write_is_asked_again(tmp_path: Path) -> None:
    shop = Shop(f"sqlite:///{tmp_path / 'a'}").stocked(1)
    database = shop.opened(write=True)
    with sqlite3.connect(tmp_path / "a") as other, database.writing() as connection:
        other.execute("BEGIN IMMEDIATE")
        connection.exec_driver_sql("PRAGMA busy_timeout = 1")
        with pytest.raises(sa.exc.OperationalError) as locked:
            connection.exec_driver_sql("UPDATE items SET mood = 'x'")
        assert isinstance(database._refused(locked.value), DatabaseAway)
    other.close()
    shop.close()


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
