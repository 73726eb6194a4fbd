"""A client that goes away while rows are copied for it takes the process that copies them along, and leaves nothing."""

import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.processes import children_running
from tests.service import listening_service
from tests.tables.shop import Shop
from tests.tables.test_selected import ENDLESS

COPYING = ("select_child", "reading_child", "rows_child")
ROWS = {"database": "shop", "select": ENDLESS}
PREDICT = {**ROWS, "input": "a", "into": "b", "result": "made", "model_name": "demo"}
LEARN = {"baseModel": "demo", "train_table": ROWS, "columns": "a:text"}
SWEEP: dict[str, Any] = {"modelName": "tuned", "baseModel": "demo", "train_table": ROWS}
SWEEP |= {"method": "grid", "parameters": {"rank": [8]}, "settings": {"columns": "a:text"}}
JOB = {"model": "demo", "training_file": "", "train_table": ROWS}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """The port of a service over a shop, and its folder."""
    folder = tmp_path_factory.mktemp("gone")
    shop = Shop(f"sqlite:///{folder / 'shop.sqlite3'}").stocked(1)
    base = folder / "base_models" / "demo"
    base.mkdir(parents=True)
    (base / "config.json").write_text("{}")
    with listening_service(folder, databases={"shop": shop.setting()}) as (port, _):
        yield port, folder
    shop.close()


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/predict", {**PREDICT, "dry_run": True}),
        ("/predict", PREDICT),
        ("/fine_tune_model/tuned", LEARN),
        ("/sweeps", SWEEP),
        ("/v1/fine_tuning/jobs", JOB),
    ],
    ids=["prompts", "predict", "fine-tune", "sweep", "openai"],
)
def test_what_is_copied_for_a_client_ends_with_it(
    served: tuple[int, Path], path: str, sent: Any
) -> None:
    port, folder = served
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", path, json.dumps(sent), {"Content-Type": "application/json"})
    wait(lambda: children(), "it is copied")
    connection.close()
    wait(lambda: not children(), "nothing is copied any more")
    wait(lambda: not list(folder.glob("*/[pt][rb]_*")), "nothing is left")


def children() -> list[Any]:
    return [one for name in COPYING for one in children_running(name, recursive=True)]


def wait(seen: Any, what: str) -> None:
    deadline = time.monotonic() + 15
    while not seen():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
