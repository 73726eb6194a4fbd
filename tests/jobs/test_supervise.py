"""From the queue to a published model, over real pipelines that train nothing."""

import asyncio
import shutil
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest

from api.errors import NameTaken, WrongState
from api.runtime import Message, ModelRef, Options, Piece
from tests.fakes import FakeRuntime
from tests.jobs.workshop import Workshop

pytestmark = pytest.mark.anyio


class HeldRuntime(FakeRuntime):
    """A fake that keeps who chats waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def chat(
        self, model: ModelRef, messages: Sequence[Message], options: Options, **tokens: int | None
    ) -> AsyncGenerator[Piece, None]:
        """Answer once it may."""
        self.asked.set()
        await self.may_answer.wait()
        async for piece in super().chat(model, messages, options, **tokens):
            yield piece


async def test_a_job_goes_from_the_queue_to_a_model(tmp_path: Path) -> None:
    runtime = FakeRuntime()
    async with Workshop(tmp_path, runtime=runtime) as shop:
        job = await shop.submit("tuned")
        assert job.status == "queued"
        done = await shop.until(job)
        record = shop.store.models.get("tuned")
    assert done.status == "succeeded"
    assert done.error is None
    assert done.gate is not None
    assert done.gate["texts_equal"] == 8
    assert done.started_at is not None
    assert done.ended_at is not None
    assert [model.name for model in await runtime.models() if "tuned" in model.name] == ["tuned"]
    assert record is not None
    assert (record.kind, record.base, record.job_id) == ("fine-tune", "demo", job.id)
    assert runtime.memory_releases == 1


async def test_two_jobs_run_one_after_the_other(tmp_path: Path) -> None:
    async with Workshop(tmp_path, "trains_until_told") as shop:
        first, second = await shop.submit("one"), await shop.submit("two")
        await shop.begun(first)
        await shop.until(first, ["running"])
        assert shop.store.jobs.get(second.id).status == "queued"
        assert not shop.directory(second).is_locked()
        (shop.directory(first).path / "enough").touch()
        (shop.directory(second).path / "enough").touch()
        assert (await shop.until(first)).status == "failed"
        assert (await shop.until(second)).status == "failed"


async def test_a_queued_job_is_cancelled_at_once(tmp_path: Path) -> None:
    async with Workshop(tmp_path, "trains_until_told") as shop:
        first, second = await shop.submit("one"), await shop.submit("two")
        assert (await shop.supervisor.cancel(second.id)).status == "cancelled"
        await shop.begun(first)
        assert shop.store.jobs.get(second.id).status == "cancelled"


async def test_a_running_job_is_cancelled_and_can_be_resumed(tmp_path: Path) -> None:
    async with Workshop(tmp_path, "trains_until_told") as shop:
        job = await shop.submit()
        await shop.begun(job)
        await shop.until(job, ["running"])
        assert (await shop.supervisor.cancel(job.id)).status == "running"
        assert (await shop.until(job)).status == "cancelled"
        with pytest.raises(WrongState, match="resume it first"):
            await shop.supervisor.publish(job.id)
        assert (await shop.supervisor.resume(job.id)).status == "queued"
        await shop.until(job, ["running"])
        await shop.begun(job)


async def test_a_failed_job_says_why_and_can_be_resumed(tmp_path: Path) -> None:
    async with Workshop(tmp_path, "fails_the_first_time") as shop:
        job = await shop.submit()
        failed = await shop.until(job)
        assert failed.error == {"title": "Out of memory", "detail": "Use bits=4.", "stage": "train"}
        await shop.supervisor.resume(job.id)
        resumed = await shop.until(job)
    assert resumed.status == "succeeded"
    assert resumed.error is None


async def test_a_pipeline_that_dies_is_started_again(tmp_path: Path) -> None:
    async with Workshop(tmp_path, "dies_the_first_time") as shop:
        done = await shop.until(await shop.submit())
    assert done.status == "succeeded"


async def test_a_pipeline_that_keeps_dying_fails_with_its_last_words(tmp_path: Path) -> None:
    async with Workshop(tmp_path, "dies_at_once") as shop:
        failed = await shop.until(await shop.submit())
    assert failed.status == "failed"
    assert failed.error is not None
    assert "the last words" in failed.error["detail"]


async def test_one_job_that_nobody_understands_does_not_stop_the_next(tmp_path: Path) -> None:
    async with Workshop(tmp_path, "writes_nonsense") as shop:
        first, second = await shop.submit("one"), await shop.submit("two")
        assert (await shop.until(first)).status == "failed"
        assert (await shop.until(second)).status == "failed"


async def test_a_job_outlives_a_killed_api_and_is_followed_again(tmp_path: Path) -> None:
    killed = Workshop(tmp_path, "trains_until_told")
    killed.supervisor.start()
    job = await killed.submit()
    await killed.begun(job)
    await killed.until(job, ["running"])
    await killed.vanish()
    assert killed.directory(job).is_locked()
    async with Workshop(tmp_path, "dies_at_once") as shop:
        (shop.directory(job).path / "enough").touch()
        done = await shop.until(job)
        assert done.error == {"title": "Told", "detail": "Enough.", "stage": None}
    killed.runner.close()


async def test_a_job_that_was_stopped_with_the_api_goes_on_at_the_next_start(
    tmp_path: Path,
) -> None:
    async with Workshop(tmp_path, "trains_until_told") as stopped:
        job = await stopped.submit()
        await stopped.begun(job)
        await stopped.until(job, ["running"])
    assert not stopped.directory(job).is_locked()
    async with Workshop(tmp_path) as shop:
        assert (await shop.until(job)).status == "succeeded"
        events, _ = shop.directory(job).events()
    assert "pipeline" not in {event.stage for event in events}


async def test_a_second_supervisor_on_the_folder_leaves_the_jobs_alone(tmp_path: Path) -> None:
    async with Workshop(tmp_path, "trains_until_told") as first:
        job = await first.submit()
        await first.begun(job)
        async with Workshop(tmp_path, "dies_at_once") as second:
            other = await second.submit("other")
            (first.directory(other).path / "enough").touch()
            (first.directory(job).path / "enough").touch()
            first.supervisor.wake()
            told = await first.until(other)
    assert told.error is not None
    assert told.error["title"] == "Told"


async def test_other_jobs_are_followed_while_one_is_published(tmp_path: Path) -> None:
    runtime = HeldRuntime()
    async with Workshop(tmp_path, "trains_when_told", runtime=runtime, training_jobs=2) as shop:
        first, second = await shop.submit("one"), await shop.submit("two")
        third = await shop.submit("three")
        await shop.until(second, ["running"])
        (shop.directory(first).path / "enough").touch()
        await runtime.asked.wait()
        (shop.directory(second).path / "enough").touch()
        await shop.until(second, ["publishing"])
        assert [shop.store.jobs.get(one.id).status for one in (first, third)] == [
            "publishing",
            "queued",  # its training would want the memory that publishing uses
        ]
        runtime.may_answer.set()
        (shop.directory(third).path / "enough").touch()
        for job in (first, second, third):
            assert (await shop.until(job)).status == "succeeded"


async def test_a_supervisor_that_is_woken_as_it_is_closed_ends(tmp_path: Path) -> None:
    async with Workshop(tmp_path) as shop:
        await asyncio.sleep(0.2)  # it has nothing to do, and waits
        shop.supervisor.wake()
        async with asyncio.timeout(60):
            await shop.supervisor.close()


async def test_a_name_that_another_job_will_give_cannot_be_published(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    refused = await shop.submit("tuned")
    shop.store.jobs.move(refused.id, "running")
    shop.store.jobs.move(refused.id, "trained", error={"title": "Not published"})
    other = await shop.submit("Tuned")
    with pytest.raises(NameTaken, match=other.id):
        await shop.supervisor.publish(refused.id)
    assert shop.store.jobs.get(refused.id).status == "trained"
    await shop.supervisor.cancel(other.id)
    assert (await shop.supervisor.publish(refused.id)).status == "publishing"


async def test_a_job_whose_folder_is_gone_fails(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    job = await shop.submit()
    shutil.rmtree(shop.directory(job).path)
    async with shop:
        failed = await shop.until(job)
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error["title"] == "Folder missing"


@pytest.mark.parametrize("wish", ["cancel", "resume", "publish"])
async def test_what_the_state_forbids_is_refused_with_the_state(tmp_path: Path, wish: str) -> None:
    async with Workshop(tmp_path) as shop:
        job = await shop.until(await shop.submit())
        await shop.runtime.delete_model("tuned")
        with pytest.raises(WrongState) as refusal:
            await getattr(shop.supervisor, wish)(job.id)
    assert refusal.value.extra["state"] == "succeeded"
