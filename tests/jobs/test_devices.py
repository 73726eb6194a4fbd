"""A job that trains has its device to itself, and only while it does."""

import asyncio
from pathlib import Path

import pytest

from api.errors import DeviceInUse
from api.jobs.devices import TrainingDevices
from api.runners.worker import WorkerRunner
from api.runtime import Message, Options
from finetune.job.directory import JobDirectory
from finetune.job.workers import dismiss_worker, report_worker
from tests.fakes import FakeRuntime
from tests.jobs.workshop import Workshop

pytestmark = pytest.mark.anyio


@pytest.fixture
def runtime() -> FakeRuntime:
    """A runtime whose models lie on the GPU."""
    return FakeRuntime(device="gpu")


async def ask(runtime: FakeRuntime) -> str:
    """An answer of `demo`."""
    stream = runtime.chat("demo", [Message("user", "Hello")], Options())
    return "".join([piece.text async for piece in stream])


async def test_a_job_has_its_device_to_itself_until_it_ends(
    tmp_path: Path, runtime: FakeRuntime
) -> None:
    async with Workshop(tmp_path, "trains_until_told", runtime=runtime, device="gpu") as shop:
        job = await shop.submit()
        await shop.begun(job)
        assert runtime.memory_releases == 1
        with pytest.raises(DeviceInUse, match=job.id):
            await ask(runtime)
        (hint,) = await shop.supervisor.check()
        assert f"Job {job.id} has the GPU to itself" in hint
        (shop.directory(job).path / "enough").touch()
        await shop.until(job)
        async with asyncio.timeout(60):
            while runtime.reserved:
                await asyncio.sleep(0.02)
        assert await ask(runtime)
        assert await shop.supervisor.check() == ()


async def test_a_trained_job_is_published_on_the_device_that_it_had(
    tmp_path: Path, runtime: FakeRuntime
) -> None:
    async with Workshop(tmp_path, runtime=runtime, device="gpu") as shop:
        assert (await shop.until(await shop.submit())).status == "succeeded"


async def test_a_job_is_published_when_no_other_has_the_device(
    tmp_path: Path, runtime: FakeRuntime
) -> None:
    async with Workshop(
        tmp_path, "trains_until_told", runtime=runtime, device="gpu", training_jobs=2
    ) as shop:
        first, second = await shop.submit("one"), await shop.submit("two")
        await shop.begun(first)
        await shop.begun(second)
        await shop.until(second, ["running"])
        shop.directory(first).write_outcome({"result": "trained"})
        shop.store.jobs.move(first.id, "trained")
        await shop.until(first, ["publishing"])
        await asyncio.sleep(1)
        assert shop.store.jobs.get(first.id).status == "publishing"
        assert not runtime.history
        (shop.directory(second).path / "enough").touch()
        settled = await shop.until(first)
        assert (settled.error or {})["title"] != DeviceInUse.title  # it has no probes


async def test_a_job_that_runs_at_the_next_start_has_its_device_still(
    tmp_path: Path, runtime: FakeRuntime
) -> None:
    shop = Workshop(tmp_path, "trains_until_told", device="gpu")
    async with shop:
        job = await shop.submit()
        await shop.begun(job)
        await shop.until(job, ["running"])
        await shop.vanish()
        again = Workshop(tmp_path, "trains_until_told", runtime=runtime, device="gpu")
        async with again:
            async with asyncio.timeout(60):
                while not runtime.memory_releases:
                    await asyncio.sleep(0.02)
            with pytest.raises(DeviceInUse):
                await ask(runtime)
            (again.directory(job).path / "enough").touch()
            await again.until(job)


async def test_training_on_a_cpu_takes_nothing_from_the_gpu(
    tmp_path: Path, runtime: FakeRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "api.jobs")
    async with Workshop(tmp_path, "trains_until_told", runtime=runtime, device="cpu") as shop:
        job = await shop.submit()
        await shop.begun(job)
        assert await ask(runtime)
        assert runtime.memory_releases == 0
        (shop.directory(job).path / "enough").touch()
        await shop.until(job)
    assert f"Job {job.id} trains on the CPU." in caplog.messages


async def test_where_both_fit_models_answer_while_a_job_trains(
    tmp_path: Path, runtime: FakeRuntime
) -> None:
    async with Workshop(
        tmp_path, "trains_until_told", runtime=runtime, device="gpu", chat_while_training=True
    ) as shop:
        job = await shop.submit()
        await shop.begun(job)
        assert await ask(runtime)
        assert runtime.memory_releases == 0
        (shop.directory(job).path / "enough").touch()
        await shop.until(job)


async def test_when_a_job_is_expected_to_end_is_said(tmp_path: Path, runtime: FakeRuntime) -> None:
    shop = Workshop(tmp_path, "trains_until_told", runtime=runtime, device="gpu")
    job = await shop.submit()
    shop.directory(job).append_event("train", "progress", eta_seconds=600)
    async with shop:
        await shop.begun(job)
        with pytest.raises(DeviceInUse, match="until about") as refusal:
            await ask(runtime)
        assert 580 <= (refusal.value.retry_after_seconds or 0) <= 600
        (shop.directory(job).path / "enough").touch()
        await shop.until(job)


async def test_a_job_that_waits_for_a_worker_takes_nothing_until_one_lives(
    tmp_path: Path, runtime: FakeRuntime
) -> None:
    job = JobDirectory(tmp_path / "job_1")
    job.path.mkdir()
    devices = TrainingDevices(runtime, WorkerRunner(tmp_path), shared=False)
    await devices.reserve([job])
    assert await ask(runtime)
    report_worker(tmp_path, "gpu0", "gpu")
    await devices.reserve([job])
    with pytest.raises(DeviceInUse):
        await ask(runtime)
    assert (runtime.memory_releases, devices.holds_gpu) == (1, True)
    dismiss_worker(tmp_path, "gpu0")
    await devices.reserve([])
    assert await ask(runtime)
