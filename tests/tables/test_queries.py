"""Queries over a named database, and what a model is told of it: SQLite and PostgreSQL alike."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa

from api.tables.databases import Databases
from api.tables.described import FIRST_ROWS, MAX_CELL_CHARACTERS, of_database, of_tables
from api.tables.queries import Queries, Scope
from api.tables.refusals import QueryUnusable
from api.tables.selected import first_rows
from api.tables.shelf import Column, Table, Tables
from api.tables.sql import OF_A_KEY, Rows, Sql
from tests.tables.conftest import new_database
from tests.tables.shop import Shop


def test_a_database_gives_rows_as_json_has_them(shop: Shop) -> None:
    database = shop.stocked(3).opened()
    shop.run(
        "UPDATE items SET sold = '2026-05-31' WHERE id = 3",
        'CREATE VIEW "Old Items" AS SELECT 1 AS "a b"',
    )
    query = "SELECT id, price, sold, mood FROM items ORDER BY id DESC"
    found = asyncio.run(first_rows(database, query, 2))
    assert found.rows == [[3, 0.75, "2026-05-31", None], [2, 0.5, None, None]]
    assert (found.types[0], found.types[3], found.left_out) == ("BIGINT", "NULL", None)
    assert asyncio.run(first_rows(database, "SELECT id FROM items", 3)).left_out == 0
    items, view = of_database(database).split("\n\n")
    head, *rows = items.splitlines()
    assert head.startswith(
        "CREATE TABLE items (id INTEGER, name TEXT, price NUMERIC(8, 2), sold DATE"
    )
    assert len(rows) == FIRST_ROWS
    assert rows[0].startswith('-- {"id": 1, "name": "item 1", "price": 0.25, "sold": null')
    assert view.startswith('CREATE TABLE "Old Items" ("a b" ')
    database.close()


def test_of_a_file_that_is_read_in_part_the_rest_is_told(tmp_path: Path) -> None:
    """One value is too large, one is of another encoding, and a view is over what is gone."""
    shop = Shop(f"sqlite:///{tmp_path / 'a'}").stocked(3)
    shop.run(
        "UPDATE items SET name = hex(zeroblob(6000000)) WHERE id = 1",
        "UPDATE items SET name = CAST(x'636166e9' AS TEXT) WHERE id = 2",
        "CREATE TABLE old (a)",
        "CREATE VIEW gone AS SELECT a FROM old",
        "DROP TABLE old",
    )
    told = of_database(shop.opened())
    assert ("item 3" in told, "caf\ufffd" in told, "gone" in told) == (True, True, False)
    shop.close()


def test_of_a_database_that_is_anothers_in_part_the_rest_is_told(postgres: str) -> None:
    shop = Shop(new_database(postgres)).stocked(3)
    url = sa.make_url(shop.url)
    role = f"reader_of_{url.database}"
    shop.run(
        "UPDATE items SET sold = 'infinity' WHERE id = 2",
        "CREATE TABLE anothers (a INTEGER)",
        f"CREATE ROLE {role} LOGIN",
        f"GRANT SELECT ON items TO {role}",
    )
    reader = Shop(url.set(username=role).render_as_string(hide_password=False))
    database = reader.opened()
    told = of_database(database)
    assert ("item 1" in told, '"sold": "infinity"' in told, "anothers" in told) == (
        *(True, True),
        False,
    )
    shop.run(f"REVOKE ALL ON items FROM {role}")
    with pytest.raises(QueryUnusable, match="permission denied"):
        of_database(database)
    database.close()
    reader.close()
    shop.run(f"DROP ROLE {role}")
    shop.close()


def test_a_view_without_an_end_is_not_told(shop: Shop) -> None:
    count = "SELECT 1 UNION ALL SELECT i + 1 FROM n"
    shop.run(f"CREATE VIEW endless AS WITH RECURSIVE n(i) AS ({count}) SELECT max(i) AS i FROM n")
    database = shop.opened(statement_seconds=0.3)
    with pytest.raises(QueryUnusable, match=r"longer than the 0\.3 s"):
        of_database(database)
    database.close()


def test_long_cells_of_a_table_are_told_short() -> None:
    columns = (Column("text", "text"), Column("List", "text"))
    rows = [{"text": "x" * 500, "List": ["y"] * 500}]
    told = of_tables([Table("tb_1", "long", columns, 1, 1, "2026-01-01", {}, rows)])
    assert told.startswith(
        'CREATE TABLE long (text VARCHAR, "List" VARCHAR); -- 1 rows; the first:'
    )
    assert "x" * MAX_CELL_CHARACTERS + "..." in told
    assert len(told) < 300


def test_a_key_has_few_queries_of_databases_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, most, at_once = 0, 0, asyncio.Barrier(OF_A_KEY)

    async def slow(*_: Any) -> Rows:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await at_once.wait()
        await asyncio.sleep(0.05)
        running -= 1
        return Rows(["1"], ["BIGINT"], [[1]], 0)

    monkeypatch.setattr("api.tables.queries.first_rows", slow)
    shop = Shop(f"sqlite:///{tmp_path / 'a'}").stocked(1)
    databases = Databases({"shop": shop.opened()._setting})
    queries = Queries(Sql(None), cast(Tables, None), databases, "default")

    async def many() -> list[Rows]:
        scope = Scope("shop")
        return await asyncio.gather(
            *(queries.run("SELECT 1", scope, 9) for _ in range(3 * OF_A_KEY))
        )

    assert [one.rows for one in asyncio.run(many())] == [[[1]]] * 3 * OF_A_KEY
    assert most == OF_A_KEY
    shop.close()
