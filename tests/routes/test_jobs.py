"""/jobs over HTTP."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.errors import ModelNotFound
from api.jobs.choosing import choose
from api.jobs.deleting import delete_job
from api.runtime import ExistingModel, ModelInfo, ModelRef, Persona, name_of
from api.store.jobs import Job
from tests.fakes import FakeRuntime
from tests.jobs.client import client_of
from tests.jobs.workshop import Workshop

pytestmark = pytest.mark.anyio


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Workshop]:
    async with Workshop(tmp_path) as shop:
        yield shop


@pytest.fixture
async def client(shop: Workshop) -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(shop) as client:
        yield client


@pytest.fixture
async def done(shop: Workshop) -> Job:
    """A job that has succeeded."""
    return await shop.until(await shop.submit())


def told(stream: str) -> list[dict[str, Any]]:
    """The events of an SSE answer: name, id and data."""
    events = []
    for block in stream.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[0] != ":")
        if fields:
            events.append({**fields, "data": json.loads(fields["data"])})
    return events


async def test_a_job_is_shown_with_all_that_is_known(client: httpx2.AsyncClient, done: Job) -> None:
    answer = await client.get(f"/jobs/{done.id}")
    job = answer.json()
    assert answer.status_code == 200
    assert (job["job_id"], job["status"], job["model"]) == (done.id, "succeeded", "tuned")
    assert job["progress"]["stages"].keys() >= {"train", "verify", "publish"}
    few, alike = job["progress"]["warnings"]
    assert (few["kind"], "2 held-out rows" in few["detail"]) == ("few_held_out", True)
    assert alike == {"stage": "train", "detail": "2 rows are alike"}
    assert job["gate"]["passed"] is True
    assert job["spec"]["rank"] == 24
    assert "base_model_folder" not in job["spec"]
    assert job["queue_position"] is None


async def test_jobs_are_listed_newest_first_and_by_status(
    shop: Workshop, client: httpx2.AsyncClient, done: Job
) -> None:
    newest = await shop.until(await shop.submit("newest"))
    listed = (await client.get("/jobs")).json()["jobs"]
    assert [job["job_id"] for job in listed] == [newest.id, done.id]
    assert (await client.get("/jobs", params={"status": "failed"})).json() == {
        "jobs": [],
        "has_more": False,
    }
    assert (await client.get("/jobs", params={"status": "lost"})).status_code == 422


async def test_jobs_come_in_pages(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    ids = [(await shop.submit(f"model{number}")).id for number in range(5)]
    newest_first = ids[::-1]
    async with client_of(shop) as client:
        first = (await client.get("/jobs", params={"limit": "2"})).json()
        assert [job["job_id"] for job in first["jobs"]] == newest_first[:2]
        assert first["has_more"] is True
        given = {"limit": "3", "after": newest_first[1]}
        last = (await client.get("/jobs", params=given)).json()
        assert [job["job_id"] for job in last["jobs"]] == newest_first[2:]
        assert last["has_more"] is False
        assert (await client.get("/jobs", params={"after": "job_gone"})).status_code == 404


async def test_without_a_limit_a_hundred_jobs_are_listed(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    async with client_of(shop) as client:
        for number in range(101):
            shop.store.jobs.add(f"job_{number:03}", f"model{number}", "demo", {})
        page = (await client.get("/jobs", params={"status": "", "limit": ""})).json()
        assert len(page["jobs"]) == 100
        assert page["has_more"] is True
        rest = (await client.get("/jobs", params={"after": page["jobs"][-1]["job_id"]})).json()
        assert [job["job_id"] for job in rest["jobs"]] == ["job_000"]
        assert rest["has_more"] is False


async def test_queued_jobs_know_their_place(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    jobs = [await shop.submit("one"), await shop.submit("two")]
    async with client_of(shop) as client:
        places = [(await client.get(f"/jobs/{j.id}")).json()["queue_position"] for j in jobs]
    assert places == [0, 1]


async def test_a_job_of_higher_priority_comes_first(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    jobs = [
        await shop.submit("one"),
        await shop.submit("two"),
        await shop.submit("urgent", priority=5),
    ]
    async with client_of(shop) as client:

        async def places() -> list[int]:
            return [(await client.get(f"/jobs/{j.id}")).json()["queue_position"] for j in jobs]

        assert await places() == [1, 2, 0]
        answer = await client.post(f"/jobs/{jobs[1].id}/priority?priority=9")
        assert answer.status_code == 200
        assert await places() == [2, 0, 1]
        assert shop.store.jobs.next_queued() == shop.store.jobs.get(jobs[1].id)
        assert (await client.post(f"/jobs/{jobs[1].id}/priority?priority=101")).status_code == 422


async def test_a_trained_job_is_exported_from_another_checkpoint(
    shop: Workshop, client: httpx2.AsyncClient
) -> None:
    shop.runtime.rule = lambda _: "something else"  # type: ignore[attr-defined]
    job = await shop.until(await shop.submit(checkpoint=1))
    shown = (await client.get(f"/jobs/{job.id}")).json()
    assert shown["checkpoints"] == [
        {"step": 1, "eval_loss": 1.4, "exported": True},
        {"step": 2, "eval_loss": 0.4, "exported": False},
    ]
    refused = await client.post(f"/jobs/{job.id}/publish?checkpoint=7")
    assert refused.status_code == 404
    assert "there are: 1, 2." in refused.json()["detail"]
    shop.runtime.rule = lambda messages: messages[-1].content  # type: ignore[attr-defined]
    choose(shop.directory(job), 2, None)  # and then the process is killed
    await client.post(f"/jobs/{job.id}/publish")
    error = (await shop.until(job)).error
    assert error is not None
    assert error["detail"] == "Its file is not made, or is not whole. Resume the job."
    answer = await client.post(f"/jobs/{job.id}/publish?checkpoint=2")
    assert answer.json() == {"job_id": job.id, "status": "queued"}
    assert (await shop.until(job)).spec["checkpoint"] == 2
    assert json.loads(shop.directory(job).spec_path.read_text())["checkpoint"] == 2


async def test_a_published_job_is_exported_from_another_checkpoint_beside_it(
    shop: Workshop, client: httpx2.AsyncClient, done: Job
) -> None:
    folder = shop.directory(done).path
    shutil.rmtree(folder / "convert", ignore_errors=True)  # which goes about now anyway
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    shown = (await client.get("/show_model/tuned")).json()
    asked = {"checkpoint": 1, "modelName": "tuned-1"}
    answer = await client.post(f"/jobs/{done.id}/publish", json=asked)
    assert answer.status_code == 202
    job = await shop.until(shop.store.jobs.get(answer.json()["job_id"]))
    assert (job.id != done.id, job.status, job.model_name) == (True, "succeeded", "tuned-1")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert shop.store.jobs.get(done.id) == done
    assert (await client.get("/show_model/tuned")).json() == shown
    lineage = (await client.get("/show_model/tuned-1")).json()["lineage"]
    assert (lineage["job_id"], lineage["trained_by"]) == (job.id, done.id)
    assert (lineage["settings"]["checkpoint"], lineage["eval_loss"]) == (1, 1.4)
    told = (await client.get(f"/jobs/{job.id}")).json()
    assert told["checkpoints"] == [{"step": 1, "eval_loss": 1.4, "exported": True}]
    assert told["progress"]["warnings"][1:] == [{"stage": "train", "detail": "2 rows are alike"}]
    shop.runtime.rule = lambda _: "something else"  # type: ignore[attr-defined]
    answer = await client.post(f"/jobs/{done.id}/publish?checkpoint=1&modelName=other")
    refused = await shop.until(shop.store.jobs.get(answer.json()["job_id"]))
    assert (refused.status, refused.error and refused.error["title"]) == (
        "trained",
        "Not published",
    )
    assert (await client.get("/show_model/tuned")).json() == shown, "it goes on answering"
    shop.runtime.rule = lambda messages: messages[-1].content  # type: ignore[attr-defined]
    assert (await client.delete(f"/jobs/{done.id}")).status_code == 200
    again = await client.post(f"/jobs/{job.id}/publish?modelName=again")
    assert (await shop.until(shop.store.jobs.get(again.json()["job_id"]))).model_name == "again", (
        "it needs nothing of the first one"
    )


async def test_an_export_that_cannot_be_says_why(client: httpx2.AsyncClient, done: Job) -> None:
    for asked, status, said in (
        ("checkpoint=7&modelName=other", 404, "step 7 was kept; there are: 1, 2."),
        ("checkpoint=last", 409, "A model named 'tuned' exists. Choose another name"),
        ("checkpoint=last&modelName=demo", 409, "A model named 'demo' exists."),
        ("modelName=a%00b", 422, "name"),
    ):
        answer = await client.post(f"/jobs/{done.id}/publish?{asked}")
        assert answer.status_code == status, answer.text
        assert said in answer.text
    assert len((await client.get("/jobs")).json()["jobs"]) == 1


async def test_what_a_training_had_learned_when_it_was_broken_off_is_exported(
    shop: Workshop, client: httpx2.AsyncClient, done: Job
) -> None:
    with shop.store.database.write() as connection:
        connection.exec_driver_sql("update jobs set status = 'cancelled'")
    folder = shop.directory(done)
    (folder.path / "train" / "learned.json").unlink()
    (folder.path / "train" / "before.json").write_text('{"eval_loss": 3.5}')
    folder.append_event("train", "plan", steps=9, sequences=40)
    await shop.runtime.delete_model("tuned")
    answer = await client.post(f"/jobs/{done.id}/publish?checkpoint=best")
    job = await shop.until(shop.store.jobs.get(answer.json()["job_id"]))
    assert (job.status, job.model_name) == ("succeeded", "tuned")
    facts = json.loads((shop.directory(job).path / "train" / "done.json").read_text())
    assert (facts["steps"], facts["eval_loss_before"], facts["checkpoint"]) == (9, 3.5, 2)
    assert facts["stopped_early"] is True


async def test_events_stream_until_the_last_status(
    shop: Workshop, client: httpx2.AsyncClient
) -> None:
    job = await shop.submit()
    answer = await client.get(f"/jobs/{job.id}/events")
    events = told(answer.text)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert events[-1]["event"] == "status"
    assert events[-1]["data"] == {"status": "succeeded", "error": None}
    steps = [each["data"]["step"] for each in events if each["event"] == "progress"]
    assert steps[:2] == [1, 2]
    numbers = [int(each["id"]) for each in events if "id" in each]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("way", ["query", "header"])
async def test_events_go_on_behind_the_last_one_known(
    client: httpx2.AsyncClient, done: Job, way: str
) -> None:
    params = {"after": "5"} if way == "query" else {}
    headers = {"Last-Event-ID": "5"} if way == "header" else {}
    answer = await client.get(f"/jobs/{done.id}/events", params=params, headers=headers)
    assert told(answer.text)[0]["id"] == "6"


async def test_the_end_of_the_log_is_plain_text(
    shop: Workshop, client: httpx2.AsyncClient, done: Job
) -> None:
    shop.directory(done).log_path.write_text("first\nlast\n")
    answer = await client.get(f"/jobs/{done.id}/log", params={"characters": 5})
    assert answer.text == "last\n"
    assert answer.headers["content-type"].startswith("text/plain")


async def test_a_job_is_cancelled_and_resumed(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    job = await shop.submit()
    async with client_of(shop) as client:
        cancelled = await client.post(f"/jobs/{job.id}/cancel")
        assert cancelled.status_code == 202
        assert cancelled.json() == {"job_id": job.id, "status": "cancelled"}
        resumed = await client.post(f"/jobs/{job.id}/resume")
        assert resumed.json() == {"job_id": job.id, "status": "queued"}


async def test_a_refused_job_is_published_again(shop: Workshop, client: httpx2.AsyncClient) -> None:
    shop.runtime.rule = lambda _: "something else"  # type: ignore[attr-defined]
    job = await shop.until(await shop.submit())
    shown = (await client.get(f"/jobs/{job.id}")).json()
    assert shown["status"] == "trained"
    assert "Probe 1 of 8" in shown["error"]["detail"]
    assert len(shown["gate"]["differences"]) == 8
    shop.runtime.rule = lambda messages: messages[-1].content  # type: ignore[attr-defined]
    answer = await client.post(f"/jobs/{job.id}/publish")
    assert answer.json() == {"job_id": job.id, "status": "publishing"}
    assert (await shop.until(job)).status == "succeeded"


@pytest.mark.parametrize("wish", ["cancel", "resume", "publish"])
async def test_a_wish_in_the_wrong_state_is_a_conflict_with_the_state(
    shop: Workshop, client: httpx2.AsyncClient, done: Job, wish: str
) -> None:
    await shop.runtime.delete_model("tuned")
    answer = await client.post(f"/jobs/{done.id}/{wish}")
    assert answer.status_code == 409
    assert answer.json()["state"] == "succeeded"


async def test_a_job_is_deleted_with_its_files_and_its_model_stays(
    shop: Workshop, client: httpx2.AsyncClient, done: Job
) -> None:
    answer = await client.delete(f"/jobs/{done.id}")
    assert answer.status_code == 200
    assert answer.json() == {"message": f"Successfully deleted {done.id}", "job_id": done.id}
    assert (await client.get(f"/jobs/{done.id}")).status_code == 404
    assert (await client.delete(f"/jobs/{done.id}")).status_code == 404
    assert (await client.get("/jobs")).json()["jobs"] == []
    assert shop.left_behind() == []
    assert (await shop.runtime.show("tuned")).name == "tuned"
    assert shop.store.models.get("tuned")


async def test_a_job_on_its_way_is_not_deleted(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    job = await shop.submit()
    async with client_of(shop) as client:
        answer = await client.delete(f"/jobs/{job.id}")
        assert answer.status_code == 409
        assert answer.json()["state"] == "queued"
        assert shop.directory(job).input("train")
        await client.post(f"/jobs/{job.id}/cancel")
        assert (await client.delete(f"/jobs/{job.id}")).status_code == 200
        assert (await shop.submit()).model_name == job.model_name


async def test_a_deleted_job_takes_along_what_a_broken_publishing_left(
    shop: Workshop, client: httpx2.AsyncClient
) -> None:
    shop.runtime.rule = lambda _: "something else"  # type: ignore[attr-defined]
    job = await shop.until(await shop.submit())
    await shop.runtime.create_model("tuned--checking", ExistingModel("demo"), Persona())
    shop.store.models.put("tuned", "fine-tune", "demo", job.id)
    assert (await client.delete(f"/jobs/{job.id}")).status_code == 200
    with pytest.raises(ModelNotFound):
        await shop.runtime.show("tuned--checking")
    assert shop.store.models.get("tuned") is None


class SilentRuntime(FakeRuntime):
    """A fake that does not answer who deletes a model, or asks for one."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.is_silent = False

    async def delete_model(self, name: str) -> None:
        """Wait without end."""
        self.asked.set()
        await asyncio.Event().wait()

    async def show(self, model: ModelRef) -> ModelInfo:
        """Wait without end once it is silent."""
        if self.is_silent:
            await self.delete_model(name_of(model))
        return await super().show(model)


async def test_other_jobs_do_not_wait_for_the_runtime_while_one_is_resumed(tmp_path: Path) -> None:
    runtime = SilentRuntime()
    shop = Workshop(tmp_path, runtime=runtime)
    first, second = await shop.submit("one"), await shop.submit("two")
    await shop.supervisor.cancel(first.id)
    runtime.is_silent = True
    resuming = asyncio.create_task(shop.supervisor.resume(first.id))
    await runtime.asked.wait()
    async with asyncio.timeout(60):
        assert (await shop.supervisor.cancel(second.id)).status == "cancelled"
    resuming.cancel()
    await asyncio.wait([resuming])
    await shop.vanish()


async def test_other_jobs_do_not_wait_for_the_runtime_while_one_is_deleted(tmp_path: Path) -> None:
    runtime = SilentRuntime()
    shop = Workshop(tmp_path, runtime=runtime)
    first, second = await shop.submit("one"), await shop.submit("two")
    await shop.supervisor.cancel(first.id)
    deletion = asyncio.create_task(delete_job(shop.store, shop.runtime, shop.supervisor, first.id))
    await runtime.asked.wait()
    async with asyncio.timeout(60):
        assert (await shop.supervisor.cancel(second.id)).status == "cancelled"
    assert [job.id for job in shop.store.jobs.all()] == [second.id]
    deletion.cancel()
    await asyncio.wait([deletion])
    await shop.vanish()
    shop = Workshop(tmp_path)
    assert shop.left_behind() == []
    await shop.vanish()


async def test_a_delete_that_a_crash_has_cut_is_finished_at_the_next_start(tmp_path: Path) -> None:
    async with Workshop(tmp_path) as shop:
        job = await shop.until(await shop.submit())
    folder = shop.directory(job).path
    folder.rename(folder.with_name(f".deleted-{job.id}"))
    async with Workshop(tmp_path) as shop:
        assert shop.left_behind() == []
        assert shop.store.jobs.all() == []


async def test_intermediate_files_of_a_published_job_go_at_the_next_start(tmp_path: Path) -> None:
    async with Workshop(tmp_path) as shop:
        job = await shop.until(await shop.submit())
        converted = shop.directory(job).stage("convert").path
    async with Workshop(tmp_path) as shop:
        assert not converted.exists()
        assert shop.directory(job).gguf_path.is_file()


@pytest.mark.parametrize("path", ["", "/events", "/log"])
async def test_an_unknown_job_is_not_found(client: httpx2.AsyncClient, path: str) -> None:
    assert (await client.get(f"/jobs/job_unknown{path}")).status_code == 404


@pytest.mark.parametrize("wish", ["cancel", "resume", "publish"])
async def test_a_wish_for_an_unknown_job_is_not_found(
    client: httpx2.AsyncClient, wish: str
) -> None:
    assert (await client.post(f"/jobs/job_unknown/{wish}")).status_code == 404
