"""A program that fills a column of a shop's database, or of a table of ours, and is killed on the way by fault points.

    python -m tests.tables.killed FOLDER URL|table ROWS [NAME:PASS ...]

Each kill happens in a fork of its own over the one folder, and the last run ends well. `asked.txt` has every row that
was asked, and TWICE before one that was kept by then. The last line is the memory that the largest run took, in KiB.
"""

import asyncio
import functools
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

from api import faults
from api.batches.values import Answer
from api.settings import Settings
from api.tables import kept, predicting, target
from api.tables.opening import (
    open_databases,
    open_prediction_runner,
    open_predictions,
    open_tables,
)
from api.tables.prediction import Prediction
from api.tables.predictions import Predictions, Wanted

ASKED: dict[str, Any] = {
    "model": "demo",
    "options": {},
    "system": None,
    "documents": [],
    "collection": "",
    "response_schema": None,
}
AT_ONCE = 4


async def ask(folder: Path, key: str, path: str, body: bytes) -> Answer:
    """Say what it was asked, and write that down."""
    text = json.loads(body)["messages"][0]["content"]
    twice = "" if "many" in folder.name or not was_kept(folder, text) else "TWICE "
    with (folder / "asked.txt").open("a") as file:
        file.write(f"{twice}{text}\n")
    await asyncio.sleep(0)
    message = {"content": f"said {text}", "refusal": None}
    choices = [{"message": message, "finish_reason": "stop"}]
    return Answer(200, "req", json.dumps({"choices": choices}).encode())


def was_kept(folder: Path, text: str) -> bool:
    """Whether a row has its line."""
    (lines,) = (folder / "data/predictions").glob("pr_*/output.jsonl")
    return f'"said {text}"' in lines.read_text()


async def go_on(folder: Path, url: str, rows: int) -> None:
    """Begin it where it was not, and bring it to its end."""
    databases = {} if url == "table" else {"shop": {"url": url, "write": True}}
    settings = Settings.model_validate(
        {"data_dir": folder / "data", "databases": databases, "parallel_requests": AT_ONCE}
    )
    tables = open_tables(settings)
    opened = open_databases(settings)
    runner = open_prediction_runner(settings, opened)
    predictions = open_predictions(settings, tables, runner)
    if not (await predictions.page(None, 1))[0]:
        await begin(predictions, url, rows)
    predictions.start(lambda _: tables, functools.partial(ask, folder))
    while not (found := await whole(predictions)).is_over or runner.line.has(found.id):
        await asyncio.sleep(0.02)
    await runner.close()
    opened.close()
    assert (found.status, found.completed) == ("succeeded", rows), found


async def begin(predictions: Predictions, url: str, rows: int) -> None:
    """Ask for it; of a table of ours that is there."""
    named: dict[str, Any] = {"table": "items", "database": None if url == "table" else "shop"}
    rest: dict[str, Any] = {"select": None, "input": "{id}.", "into": "mood", "result": None}
    await predictions.create(Wanted(**named, **rest, limit=None, asked=ASKED), "key")


async def whole(predictions: Predictions) -> Prediction:
    """The one prediction."""
    (one,), _ = await predictions.page(None, 1)
    return one.prediction


def main(folder: Path, url: str, rows: int, points: list[str]) -> int:
    """Be killed at each point, and end well."""
    if rows < 1000:
        kept.ROWS_A_WRITE, predicting.SECONDS_A_WRITE = 3, 0.0
        target.PAGE_ROWS = 7
    for point in [*points, ""]:
        child = os.fork()
        if child == 0:
            name, _, number = point.partition(":")
            faults._left = {name: int(number or 1)} if point else {}
            asyncio.run(go_on(folder, url, rows))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        assert code == (137 if point else 0), (point, code)
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)  # noqa: T201  the test reads it
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4:]))
