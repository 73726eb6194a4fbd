"""`kill -9` of a prediction at named points: no row that was kept is asked again, and none is lost or left out."""

import asyncio
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pytest

from api import faults
from api.datasets.receiving import Upload
from api.settings import Settings
from api.tables.opening import open_tables
from api.tables.reading import read_upload
from tests.tables.killed import AT_ONCE
from tests.tables.shop import Shop

ROWS = 24
POINTS = ("predict_row_kept:7", "predict_rows_written:2", "predict_ended")
OF_A_TABLE = ("predict_placed", "predict_row_kept:9", "table_placed")


def run(folder: Path, url: str, points: Sequence[str], rows: int = ROWS) -> int:
    """KiB that it took."""
    command = [sys.executable, "-m", "tests.tables.killed", str(folder), url, str(rows), *points]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return int(ended.stdout.split()[-1])


def require_each_once(folder: Path, moods: list[tuple[int, str]], kills: int) -> None:
    """Every row has its value; what was asked again was being asked when the process died."""
    assert sorted(moods) == [(number, f"said {number}.") for number in range(1, ROWS + 1)]
    asked = Counter((folder / "asked.txt").read_text().splitlines())
    assert not [one for one in asked if one.startswith("TWICE")]
    assert ROWS <= sum(asked.values()) <= ROWS + kills * AT_ONCE


def table_of_ours(folder: Path) -> None:
    """`items`, as it is uploaded."""
    tables = open_tables(Settings(data_dir=folder / "data"))
    content = "id,name\n" + "".join(f"{number},x\n" for number in range(1, ROWS + 1))
    (folder / "items.csv").write_text(content)
    with (folder / "items.csv").open("rb") as file:
        fill = lambda path: read_upload(Upload(file), path, {}, None, ROWS)  # noqa: E731
        asyncio.run(tables.add("items", {}, fill))


def moods_of_ours(folder: Path) -> list[tuple[int, str]]:
    path = open_tables(Settings(data_dir=folder / "data")).path("items")
    return duckdb.connect().execute(f"SELECT id, mood FROM '{path}'").fetchall()


def test_of_a_database(shop: Shop, tmp_path: Path) -> None:
    shop.stocked(ROWS)
    run(tmp_path, shop.url, POINTS)
    moods = [(row[0], row[1]) for row in shop.rows("SELECT id, mood FROM items")]
    require_each_once(tmp_path, moods, len(POINTS))


def test_of_a_table_of_ours(tmp_path: Path) -> None:
    table_of_ours(tmp_path)
    run(tmp_path, "table", OF_A_TABLE)
    require_each_once(tmp_path, moods_of_ours(tmp_path), len(OF_A_TABLE))
    assert len(list((tmp_path / "data/tables").iterdir())) == 1
    known = {name for name in faults.NAMES if name.startswith(("predict_", "table_"))}
    assert {one.partition(":")[0] for one in (*POINTS, *OF_A_TABLE)} == known


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2))
def test_at_twenty_points(shop: Shop, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    shop.stocked(ROWS)
    rows = [f"predict_row_kept:{chance.randint(1, 2)}" for _ in range(9)]
    written = ["predict_rows_written"] * 2
    for part in ("database", "table"):
        folder = tmp_path / part
        folder.mkdir()
        if part == "database":
            points = ["predict_placed", *rows, *written, "predict_ended"]
            run(folder, shop.url, points)
            moods = [(row[0], row[1]) for row in shop.rows("SELECT id, mood FROM items")]
        else:
            table_of_ours(folder)
            points = ["predict_placed", *rows[:6], "table_placed", "predict_ended"]
            run(folder, "table", points)
            moods = moods_of_ours(folder)
        require_each_once(folder, moods, len(points))


@pytest.mark.soak
def test_a_hundred_thousand_rows_take_little_more_memory_than_few(
    shop: Shop, tmp_path: Path
) -> None:
    shop.stocked(100_000)
    many, few = tmp_path / "many", tmp_path / "few"
    few.mkdir()
    many.mkdir()
    needed = run(many, shop.url, [], 100_000)
    shop.run("UPDATE items SET mood = NULL WHERE id <= 100", "DELETE FROM items WHERE id > 100")
    little = run(few, shop.url, [], 100)
    assert needed - little < 100 * 1024, (needed, little)
