"""The gate between a trained file and a model."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from api.errors import BackEndFailed, Unavailable
from api.jobs.publish import MOST_BEGUN, compare
from api.names import CHECKING
from api.runtime import ExistingModel, GGUFFile, Message, ModelRuntime, Persona, Usage
from api.store.jobs import Job
from finetune.job.spec import Probe
from tests.fakes import FakeRuntime
from tests.jobs.workshop import Workshop

pytestmark = pytest.mark.anyio


def probes(count: int) -> list[Probe]:
    """Probes that are all alike."""
    return [
        Probe(
            messages=[{"role": "user", "content": "hi"}],
            prompt_tokens=2,
            text="hi",
            finish_reason="stop",
        )
    ] * count


def answers(count: int, *others: tuple[str, Usage]) -> list[tuple[str, Usage]]:
    """Answers that agree, but for the first few."""
    return [*others, *[("hi", Usage("stop", 2, 1))] * (count - len(others))]


OTHER_TEXT = ("ho", Usage("stop", 2, 1))


@pytest.mark.parametrize(
    ("count", "others", "passes"),
    [
        (8, [], True),
        (8, [OTHER_TEXT], True),
        (8, [OTHER_TEXT, OTHER_TEXT], False),
        (7, [OTHER_TEXT], False),
        (8, [("hi", Usage("stop", 3, 1))], False),
        (8, [("hi", Usage("length", 2, 1))], False),
    ],
)
def test_the_gate_forgives_one_text_of_eight_and_nothing_else(
    count: int, others: list[tuple[str, Usage]], passes: bool
) -> None:
    gate = compare(probes(count), answers(count, *others), 0.1)
    assert gate.passed is passes
    assert len(gate.differences) == len(others)


@pytest.mark.parametrize("count", [1, 8])
def test_a_character_that_the_last_token_cuts_is_no_difference(count: int) -> None:
    cut = [probe.model_copy(update={"text": "hi\ufffd"}) for probe in probes(count)]
    assert compare(cut, answers(count), 0.1).passed


async def trained(folder: Path, runtime: ModelRuntime) -> tuple[Workshop, Job]:
    """A shop, and a job that has come as far as it can."""
    async with Workshop(folder, runtime=runtime) as shop:
        job = await shop.until(await shop.submit())
    return Workshop(folder, runtime=runtime), job


async def names(runtime: ModelRuntime) -> set[str]:
    return {model.name for model in await runtime.models() if "chat" in model.capabilities}


async def test_a_model_that_answers_otherwise_is_not_published(tmp_path: Path) -> None:
    def answers_otherwise(messages: Sequence[Message]) -> str:
        return messages[-1].content.replace("4", "four").replace("5", "five")

    runtime = FakeRuntime(answers_otherwise)
    shop, job = await trained(tmp_path, runtime)
    assert job.status == "trained"
    assert job.error is not None
    assert "Probe 5 of 8" in job.error["detail"]
    assert "'say four'" in job.error["detail"]
    assert job.gate is not None
    assert job.gate["texts_equal"] == 6
    assert await names(runtime) == {"demo"}
    assert shop.store.models.get("tuned") is None
    runtime.rule = lambda messages: messages[-1].content
    async with shop:
        await shop.supervisor.publish(job.id)
        assert (await shop.until(job)).status == "succeeded"
    assert await names(runtime) == {"demo", "tuned"}


async def test_a_name_taken_meanwhile_leaves_the_job_trained_and_the_stranger_alone(
    tmp_path: Path,
) -> None:
    runtime = FakeRuntime()
    async with Workshop(tmp_path, "trains_until_told", runtime=runtime) as shop:
        job = await shop.submit()
        await shop.begun(job)
        await runtime.create_model("Tuned", ExistingModel("demo"), Persona("I was first."))
    async with Workshop(tmp_path, runtime=runtime) as shop:
        refused = await shop.until(job)
        assert refused.status == "trained"
        assert refused.error is not None
        assert refused.error["title"] == "Name taken"
        assert (await runtime.show("tuned")).persona.system == "I was first."
        await runtime.delete_model("tuned")
        await shop.supervisor.publish(job.id)
        assert (await shop.until(job)).status == "succeeded"
    assert (await runtime.show("tuned")).persona.system == ""


async def test_a_runtime_that_fails_loses_nothing(tmp_path: Path) -> None:
    runtime = FakeRuntime()
    runtime.will_answer("say 0", BackEndFailed("The child has died."))
    shop, job = await trained(tmp_path, runtime)
    assert job.status == "trained"
    assert job.error == {
        "title": "Back end failed",
        "detail": "The child has died.",
        "stage": "publish",
    }
    assert await names(runtime) == {"demo"}
    async with shop:
        await shop.supervisor.publish(job.id)
        assert (await shop.until(job)).status == "succeeded"


AWAY = Unavailable("The runtime restarts.")


async def refused(folder: Path, runtime: FakeRuntime) -> tuple[Workshop, Job]:
    """A shop that is not open, and a job that is to be published there once more."""
    runtime.will_answer(BackEndFailed("Not today."))
    shop, job = await trained(folder, runtime)
    return shop, shop.store.jobs.move(job.id, "publishing")


async def test_a_job_is_published_by_itself_after_an_outage(tmp_path: Path) -> None:
    runtime = FakeRuntime()
    runtime.will_answer("say 0", AWAY)
    _, job = await trained(tmp_path, runtime)
    assert job.status == "succeeded"
    assert await names(runtime) == {"demo", "tuned"}


async def test_a_runtime_that_is_away_is_waited_for_and_nothing_is_said_twice(
    tmp_path: Path,
) -> None:
    runtime = FakeRuntime()
    shop, job = await refused(tmp_path, runtime)
    runtime.available = False
    before = shop.directory(job).events()
    for _ in range(MOST_BEGUN + 1):
        with pytest.raises(Unavailable):
            await shop.publisher.publish(job, shop.directory(job))
    assert shop.directory(job).events() == before
    runtime.available = True
    assert (await shop.publisher.publish(job, shop.directory(job))).status == "succeeded"


async def test_a_runtime_that_goes_away_at_each_attempt_is_given_up(tmp_path: Path) -> None:
    runtime = FakeRuntime()
    shop, job = await refused(tmp_path, runtime)
    runtime.will_answer(*[AWAY] * MOST_BEGUN)
    for _ in range(MOST_BEGUN - 1):
        with pytest.raises(Unavailable):
            await shop.publisher.publish(job, shop.directory(job))
    job = await shop.publisher.publish(job, shop.directory(job))
    assert (job.status, (job.error or {})["detail"]) == ("trained", AWAY.detail)


class CopiesToRename(FakeRuntime):
    """A fake that renames as Ollama does, by a copy, and never comes to delete the first name."""

    def __init__(self) -> None:
        super().__init__()
        self.copied = asyncio.Event()

    async def rename(self, name: str, new_name: str) -> None:
        """Copy, and no more."""
        await self.create_model(new_name, ExistingModel(name), Persona())
        self.copied.set()
        await asyncio.Event().wait()


async def test_what_a_rename_that_was_cut_has_left_is_removed(tmp_path: Path) -> None:
    runtime = CopiesToRename()
    async with Workshop(tmp_path, runtime=runtime) as shop:
        job = await shop.submit()
        await runtime.copied.wait()
    assert await names(runtime) == {"demo", "tuned", f"tuned{CHECKING}"}
    async with Workshop(tmp_path, runtime=runtime) as shop:
        assert (await shop.until(job)).status == "succeeded"
    assert await names(runtime) == {"demo", "tuned"}


async def test_a_trained_job_without_probes_says_so(tmp_path: Path) -> None:
    runtime = FakeRuntime()
    runtime.will_answer(BackEndFailed("Not today."))
    shop, job = await trained(tmp_path, runtime)
    shop.directory(job).probes_path.write_text("{")
    async with shop:
        await shop.supervisor.publish(job.id)
        refused = await shop.until(job)
    assert refused.status == "trained"
    assert refused.error is not None
    assert "probes.json" in refused.error["detail"]


async def test_the_runtime_is_told_what_a_model_was_trained_from(tmp_path: Path) -> None:
    runtime = FakeRuntime()
    _, job = await trained(tmp_path, runtime)
    assert job.status == "succeeded"
    source = runtime.made_from[f"tuned{CHECKING}"]
    assert isinstance(source, GGUFFile)
    assert source.trained_from is not None
    assert source.trained_from[:2] == ("demo", "demo")
    assert (source.trained_from.lineage or {})["job_id"] == job.id


async def test_what_an_earlier_attempt_left_is_replaced(tmp_path: Path) -> None:
    runtime = FakeRuntime()
    left = tmp_path / "left.gguf"
    left.write_bytes(b"GGUF of an earlier attempt")
    await runtime.create_model(f"tuned{CHECKING}", GGUFFile(left), Persona())
    _, job = await trained(tmp_path, runtime)
    assert job.status == "succeeded"
    assert await names(runtime) == {"demo", "tuned"}


async def test_what_a_dead_process_left_half_made_is_taken_back_at_the_start(
    tmp_path: Path,
) -> None:
    runtime = FakeRuntime()
    runtime.will_answer(BackEndFailed("Not today."))
    shop, job = await trained(tmp_path, runtime)
    assert (await shop.until(job)).status == "trained"
    shop.store.models.put("ada", "persona", "demo")
    for name in (f"Tuned{CHECKING}", f"ada{CHECKING}", f"somebodys{CHECKING}"):
        await runtime.create_model(name, ExistingModel("demo"), Persona())
    async with Workshop(tmp_path, runtime=runtime):
        async with asyncio.timeout(60):
            while len(await names(runtime)) > 2:
                await asyncio.sleep(0.02)
    assert await names(runtime) == {"demo", f"somebodys{CHECKING}"}


async def test_a_published_job_gives_back_the_disk_and_keeps_its_results(tmp_path: Path) -> None:
    shop, job = await trained(tmp_path, FakeRuntime())
    assert job.status == "succeeded"
    left = {path.name for path in shop.directory(job).path.iterdir()}
    assert "convert" not in left
    assert {"quantize", "verify", "spec.json", "events.jsonl"} <= left
