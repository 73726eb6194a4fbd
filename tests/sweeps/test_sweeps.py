"""Sweeps over HTTP: their runs are jobs, the best one is published, and a restart loses none."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.sweeps import sweeps
from tests.jobs.client import client_of
from tests.jobs.workshop import Workshop, csv_file

pytestmark = pytest.mark.anyio

TPE = {"method": "tpe", "parameters": {"rank": {"low": 1, "high": 500}}}


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "LOOK_SECONDS", 0.05)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Workshop]:
    async with Workshop(tmp_path) as shop:
        yield shop


@pytest.fixture
async def client(shop: Workshop) -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(shop) as client:
        yield client


async def dataset(client: httpx2.AsyncClient, rows: int = 40) -> str:
    answer = await client.post("/datasets", files={"file": ("train.csv", csv_file(rows))})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["dataset_id"])


async def begun(client: httpx2.AsyncClient, **wanted: Any) -> dict[str, Any]:
    values = {
        "modelName": "northwind",
        "method": "grid",
        "parameters": {"rank": [4, 24, 64]},
    } | wanted
    if "train_dataset" not in values:
        values["train_dataset"] = await dataset(client)
    answer = await client.post("/sweeps", json=values)
    assert answer.status_code == 202, answer.text
    return answer.json()  # type: ignore[no-any-return]


async def over(client: httpx2.AsyncClient, sweep: dict[str, Any]) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            found = (await client.get(f"/sweeps/{sweep['sweep_id']}")).json()
            if found["status"] != "running":
                return found  # type: ignore[no-any-return]
            await asyncio.sleep(0.05)


async def test_the_best_run_of_a_grid_is_published_under_the_name_of_the_sweep(
    shop: Workshop, client: httpx2.AsyncClient
) -> None:
    sweep = await begun(client, settings={"epochs": 2})
    assert (sweep["runs"], sweep["queued_runs"]) == (3, 3)
    found = await over(client, sweep)
    assert found["status"] == "succeeded"
    assert [(trial["parameters"]["rank"], trial["eval_loss"]) for trial in found["trials"]] == [
        (4, 1.6),
        (24, 0.4),
        (64, 4.4),
    ]
    assert found["best"]["parameters"] == {"rank": 24}
    assert {trial["status"] for trial in found["trials"]} == {"trained"}
    compared = (await client.get(found["compare"])).json()
    assert compared["differences"] == {"rank": [4, 24, 64]}
    assert compared["best"] == found["best"]["job_id"]

    answer = await client.post(f"/sweeps/{sweep['sweep_id']}/publish")
    assert answer.json() == {
        "job_id": found["best"]["job_id"],
        "status": "queued",
        "model": "northwind",
    }
    job = await shop.until(shop.store.jobs.get(found["best"]["job_id"]))
    assert (job.status, job.model_name) == ("succeeded", "northwind")
    assert (job.spec["rank"], job.spec["epochs"], job.spec["export"]) == (24, 2.0, True)
    again = await client.post(f"/sweeps/{sweep['sweep_id']}/publish")
    assert again.status_code == 409


async def test_tpe_tries_one_after_the_other(client: httpx2.AsyncClient) -> None:
    sweep = await begun(client, runs=4, **TPE)
    assert sweep["queued_runs"] == 1
    found = await over(client, sweep)
    assert len(found["trials"]) == 4
    losses = [trial["eval_loss"] for trial in found["trials"]]
    assert found["best"]["eval_loss"] == min(losses)


async def test_every_run_learns_the_table_as_it_was_when_the_sweep_began(
    shop: Workshop, client: httpx2.AsyncClient
) -> None:
    rows = "".join(f"hi {number},ho {number}\n" for number in range(20))
    files = {"file": ("faq.csv", f"prompt,completion\n{rows}".encode())}
    assert (await client.post("/tables", data={"name": "faq"}, files=files)).status_code == 201
    sweep = await begun(client, train_dataset=None, train_table={"table": "faq"}, runs=2, **TPE)
    assert (await client.delete("/tables/faq")).status_code == 200
    assert sweep["datasets"] == {"train": "tables: faq"}
    assert sweep["queued_runs"] == 1
    found = await over(client, sweep)
    jobs = [shop.store.jobs.get(trial["job_id"]) for trial in found["trials"]]
    first, second = (shop.directory(job).inputs / "train.jsonl" for job in jobs)
    assert first.read_text() == second.read_text()
    assert len(first.read_text().splitlines()) == 20
    for train_dataset in (None, await dataset(client)):  # neither, and both
        table = {"table": "faq"} if train_dataset else None
        wanted = {"modelName": "x", "train_dataset": train_dataset, "train_table": table, **TPE}
        assert (await client.post("/sweeps", json=wanted)).status_code == 422


async def test_a_cancelled_sweep_keeps_what_has_trained(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)  # nobody runs its jobs
    async with client_of(shop) as client:
        sweep = await begun(client)
        found = (await client.post(f"/sweeps/{sweep['sweep_id']}/cancel")).json()
        assert found["status"] == "cancelled"
        assert {trial["status"] for trial in found["trials"]} == {"cancelled"}
        for wish in ("cancel", "publish"):
            answer = await client.post(f"/sweeps/{sweep['sweep_id']}/{wish}")
            assert answer.status_code == 409
        deleted = await client.delete(f"/sweeps/{sweep['sweep_id']}")
        assert deleted.status_code == 200
        assert (await client.get("/sweeps")).json() == {"sweeps": [], "has_more": False}
        assert len((await client.get("/jobs")).json()["jobs"]) == 3


async def test_a_sweep_goes_on_at_the_next_start_and_makes_no_run_twice(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    async with client_of(shop) as client:
        sweep = await begun(client)
    path = shop.settings.sweeps_dir / sweep["sweep_id"] / "sweep.json"
    card = json.loads(path.read_text())
    card["trials"] = card["trials"][:1]  # as when the process died behind the second job
    path.write_text(json.dumps(card))
    async with Workshop(tmp_path) as shop, client_of(shop) as client:
        found = await over(client, sweep)
        assert found["status"] == "succeeded"
        assert len(found["trials"]) == 3
        assert len((await client.get("/jobs")).json()["jobs"]) == 3


@pytest.mark.parametrize(
    ("wanted", "status", "says"),
    [
        ({"parameters": {"colour": ["red"]}}, 422, "cannot be varied"),
        ({"parameters": {}}, 422, "at least one"),
        ({"parameters": {"rank": {"low": 8, "high": 4}}}, 422, "low must be below high"),
        ({"train_dataset": "ds_0123456789abcdef"}, 404, "ds_0123456789abcdef"),
        ({"modelName": "no/such name"}, 422, "model name"),
        ({"baseModel": "nobody"}, 404, "nobody"),
        ({"runs": 51}, 422, "runs"),
    ],
)
async def test_what_cannot_be_swept_is_refused_before_anything_is_queued(
    shop: Workshop, client: httpx2.AsyncClient, wanted: dict[str, Any], status: int, says: str
) -> None:
    values = {"modelName": "n", "method": "grid", "parameters": {"rank": [4, 8]}} | wanted
    if "train_dataset" not in values:
        values["train_dataset"] = await dataset(client)
    answer = await client.post("/sweeps", json=values)
    assert (answer.status_code, says in answer.text) == (status, True), answer.text
    assert not shop.store.jobs.all()


async def test_without_held_out_rows_there_is_nothing_to_compare_by(
    client: httpx2.AsyncClient,
) -> None:
    few = await dataset(client, rows=5)
    values = {"modelName": "n", "train_dataset": few, "parameters": {"rank": [4, 8]}}
    answer = await client.post("/sweeps", json=values)
    assert answer.status_code == 422
    assert "held-out rows" in answer.json()["detail"]
