"""SELECTs that somebody else wrote run in a process with bounds: of a row, of memory, and of time."""

import asyncio
import errno
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api.tables.databases import Database
from api.tables.refusals import QueryUnusable
from api.tables.select_child import size_of
from api.tables.selected import first_rows, write_selected
from tests.processes import children_running
from tests.tables.conftest import new_database
from tests.tables.shop import Shop

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
LONG = {"sqlite": "hex(zeroblob({} / 2))", "postgresql": "repeat('x', {})"}
"""A text of so many characters."""


def memory(name: str) -> int:
    """MB that this process has (`VmRSS`), or had at most since it was last asked to forget that (`VmHWM`)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) // 1024


def forget_the_most() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def copied(database: Database, sql: str, path: Path) -> None:
    asyncio.run(write_selected(database, sql, path, 1000))


def answered(database: Database, sql: str, _: Path) -> None:
    asyncio.run(first_rows(database, sql, 10))


@pytest.mark.parametrize(
    ("read", "size", "why"),
    [
        (copied, 30_000_000, r"Row 2 .* 29 MB, most of them in column 'long'"),
        (answered, 200_000_000, "more than the 512 MB of memory .* at row 2|Row 2 .* 191 MB"),
    ],
    ids=["copied", "answered"],
)
def test_a_row_that_is_too_large_is_refused_and_never_here(
    shop: Shop,
    tmp_path: Path,
    read: Callable[[Database, str, Path], None],
    size: int,
    why: str,
) -> None:
    database = shop.stocked(1).opened()
    long = LONG[database.kind].format(size)
    forget_the_most()
    before = memory("VmRSS")
    with pytest.raises(QueryUnusable, match=why):
        read(database, f"SELECT 'a', 'b' AS long UNION ALL SELECT 'c', {long}", tmp_path / "rows")
    assert memory("VmHWM") - before < 25


def test_many_long_rows_are_copied_and_never_here(shop: Shop, tmp_path: Path) -> None:
    database = shop.stocked(30).opened()
    forget_the_most()
    before = memory("VmRSS")
    long = LONG[database.kind].format(2_000_000)
    copied(database, f"SELECT id, {long} AS body FROM items", tmp_path / "rows")
    assert (tmp_path / "rows").stat().st_size > 60_000_000
    assert memory("VmHWM") - before < 25


def test_a_sort_of_sqlite_spills_nothing_to_the_disk(tmp_path: Path) -> None:
    shop = Shop(f"sqlite:///{tmp_path / 'a'}").stocked(1000)
    with pytest.raises(QueryUnusable, match="more than the 512 MB of memory") as refused:
        answered(shop.opened(), "SELECT zeroblob(1000000) AS x FROM items ORDER BY x", tmp_path)
    assert refused.value.extra["where"] == "query"
    shop.close()


def test_a_query_that_takes_too_long_ends(shop: Shop, tmp_path: Path) -> None:
    database = shop.stocked(1).opened(statement_seconds=0.3)
    begun = time.monotonic()
    with pytest.raises(QueryUnusable, match=r"longer than the 0\.3 s"):
        copied(database, ENDLESS, tmp_path / "rows")
    assert time.monotonic() - begun < 60  # without a bound it has no end
    assert not working(shop)


def test_a_query_that_nobody_waits_for_is_gone(shop: Shop) -> None:
    database = shop.stocked(1).opened(statement_seconds=600)

    async def abandoned() -> None:
        task = asyncio.create_task(first_rows(database, ENDLESS, 10))
        while not await asyncio.to_thread(working, shop):
            await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gone = time.monotonic() + 60
        while await asyncio.to_thread(working, shop):
            assert time.monotonic() < gone
            await asyncio.sleep(0.05)

    asyncio.run(abandoned())


def working(shop: Shop) -> list[Any]:
    """What is being done for a SELECT: processes of ours, and statements of the server."""
    children = children_running("select_child", recursive=True)
    if shop.url.startswith("sqlite"):
        return children
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    return shop.rows(f"SELECT query FROM pg_stat_activity WHERE state = 'active' AND {others}")


def test_a_write_ahead_log_of_sqlite_is_read(tmp_path: Path) -> None:
    """Who reads it first makes its index, a file that is written."""
    shop = Shop(f"sqlite:///{tmp_path / 'a'}")
    shop.run("PRAGMA journal_mode = WAL")
    shop.stocked(3).close()
    found = asyncio.run(first_rows(shop.opened(), "SELECT count(*) FROM items", 10))
    assert found.rows == [[3]]


@pytest.fixture
def served(postgres: str) -> Iterator[Shop]:
    """A shop's database in PostgreSQL."""
    shop = Shop(new_database(postgres))
    yield shop
    shop.close()


def test_postgresql_looks_four_times_a_second_whether_anybody_waits(served: Shop) -> None:
    sql = "SELECT current_setting('client_connection_check_interval')"
    assert asyncio.run(first_rows(served.opened(), sql, 10)).rows == [["250ms"]]


def test_a_query_that_lifts_its_own_bounds_ends_in_time(served: Shop, tmp_path: Path) -> None:
    """What `set_config` says counts from the next rows on, and nobody waits for those any more."""
    lifted = ("statement_timeout", "client_connection_check_interval")
    shown = ", ".join(f"set_config('{name}', '0', false) AS {name}" for name in lifted)
    sql = f"SELECT {shown}, CASE WHEN n > 1 THEN pg_sleep(60) END FROM generate_series(1, 2) n"
    with pytest.raises(QueryUnusable, match="longer than the 1 s"):
        copied(served.opened(statement_seconds=1), sql, tmp_path / "rows")
    gone = time.monotonic() + 30
    while working(served):
        assert time.monotonic() < gone
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("SELECT (repeat('[', 900) || repeat(']', 900))::json", "nested too deeply"),
        ("SELECT ('[' || repeat('9', 5000) || ']')::json", "5000 digits"),
        ("SELECT 1 \0 FROM nowhere", "a null character"),
    ],
    ids=["nested", "digits", "null"],
)
def test_what_cannot_be_read_is_the_querys_fault(
    served: Shop, tmp_path: Path, sql: str, why: str
) -> None:
    with pytest.raises(QueryUnusable, match=why):
        copied(served.opened(), sql, tmp_path / "rows")


def test_a_name_in_an_error_says_nothing_of_its_kind(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(QueryUnusable, match="refuses the query"):
        answered(shop.stocked(1).opened(), 'SELECT "is locked", "interrupted"(1)', tmp_path)


def test_a_full_disk_is_no_fault_of_the_query(tmp_path: Path) -> None:
    shop = Shop(f"sqlite:///{tmp_path / 'a'}").stocked(1)
    with pytest.raises(OSError, match="No space left") as full:
        copied(shop.opened(), "SELECT 1", Path("/dev/full"))
    assert full.value.errno == errno.ENOSPC
    shop.close()


def test_what_holds_nothing_has_a_size_too() -> None:
    assert size_of([[[], {}]] * 1000) > 16_000
