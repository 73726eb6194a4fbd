"""fine_tuning.jobs as the stock SDK uses them, over pipelines that train in a blink."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai.types.fine_tuning import FineTuningJob

from api.models.aliases import plain_name
from tests.fakes import echo
from tests.jobs.client import client_of
from tests.jobs.workshop import Workshop, csv_file
from tests.routes.openai import specification
from tests.routes.openai.conftest import sdk_over
from tests.service import ADDRESS, open_service

pytestmark = pytest.mark.anyio

PREFERENCES = [
    {
        "input": {"messages": [{"role": "user", "content": f"hi {number}"}]},
        "preferred_output": [{"role": "assistant", "content": "ho"}],
        "non_preferred_output": [{"role": "assistant", "content": "hum"}],
    }
    for number in range(40)
]


async def _check(response: httpx2.Response) -> None:
    await response.aread()
    specification.check(response)


def sdk_of(client: httpx2.AsyncClient) -> openai.AsyncOpenAI:
    client.event_hooks = {"response": [_check]}
    return openai.AsyncOpenAI(
        api_key="none",
        base_url=f"{ADDRESS}/v1",
        http_client=client,
        max_retries=0,
        _strict_response_validation=True,
    )


@pytest.fixture(scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Workshop]:
    """One that runs its jobs."""
    async with Workshop(tmp_path_factory.mktemp("running")) as shop:
        yield shop


@pytest.fixture(scope="module")
async def sdk(shop: Workshop) -> AsyncIterator[openai.AsyncOpenAI]:
    async with client_of(shop) as client:
        yield sdk_of(client)


@pytest.fixture(scope="module")
async def waiting(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[Workshop, openai.AsyncOpenAI]]:
    """One whose jobs stay in the queue."""
    shop = Workshop(tmp_path_factory.mktemp("waiting"))
    async with client_of(shop) as client:
        yield shop, sdk_of(client)
    await shop.vanish()


async def uploaded(sdk: openai.AsyncOpenAI, content: bytes | None = None) -> str:
    """The id of a file of rows."""
    rows = ("rows.csv", content or csv_file().getvalue())
    return (await sdk.files.create(file=rows, purpose="fine-tune")).id


async def ended(sdk: openai.AsyncOpenAI, job: FineTuningJob) -> FineTuningJob:
    """The job when it has ended, by polling as people do."""
    async with asyncio.timeout(60):
        while job.status in ("validating_files", "queued", "running"):
            await asyncio.sleep(0.1)
            job = await sdk.fine_tuning.jobs.retrieve(job.id)
    return job


async def test_a_job_is_created_polled_and_its_model_asked(
    shop: Workshop, sdk: openai.AsyncOpenAI
) -> None:
    rows, held_out = await uploaded(sdk), await uploaded(sdk, csv_file(4).getvalue())
    chosen = {"n_epochs": 3, "batch_size": 2, "learning_rate_multiplier": 2.5, "rank": 8}
    method: Any = {"type": "supervised", "supervised": {"hyperparameters": chosen}}
    created = await sdk.fine_tuning.jobs.create(
        model="demo",
        training_file=rows,
        validation_file=held_out,
        suffix="northwind",
        seed=7,
        metadata={"team": "red"},
        method=method,
    )
    assert created.status == "queued"
    assert (created.training_file, created.validation_file) == (rows, held_out)
    spec = shop.store.jobs.get(created.id).spec
    told = ("epochs", "batch_size", "gradient_accumulation_steps", "learning_rate", "rank", "seed")
    assert [spec[name] for name in told] == [3, 2, 1, 0.0005, 8, 7]
    assert created.method
    assert created.method.supervised
    for one in (created.hyperparameters, created.method.supervised.hyperparameters):
        assert one is not None
        assert (one.n_epochs, one.batch_size, one.learning_rate_multiplier) == (3, 2, 2.5)
        assert one.to_dict()["rank"] == 8

    job = await ended(sdk, created)
    assert job.status == "succeeded", job
    assert job.fine_tuned_model == f"ft:demo:default:northwind:{job.id}"
    assert job.finished_at is not None
    assert job.finished_at >= job.created_at
    assert job.error is None
    for name in (job.fine_tuned_model, "northwind"):
        answer = await sdk.chat.completions.create(
            model=name, messages=[{"role": "user", "content": "Hello"}]
        )
        assert (answer.model, answer.choices[0].message.content) == ("northwind", "Hello")
    assert (await sdk.models.delete(job.fine_tuned_model)).deleted
    with pytest.raises(openai.NotFoundError):
        await sdk.models.retrieve("northwind")


async def test_events_and_checkpoints_come_in_pages_newest_first(
    sdk: openai.AsyncOpenAI,
) -> None:
    job = await sdk.fine_tuning.jobs.create(model="demo", training_file=await uploaded(sdk))
    await ended(sdk, job)
    listed = [event async for event in sdk.fine_tuning.jobs.list_events(job.id, limit=3)]
    whole = await sdk.fine_tuning.jobs.list_events(job.id, limit=1000)
    assert [event.id for event in listed] == [event.id for event in whole.data]
    assert listed[0].message == "The fine-tuned model has been created"
    assert listed[-2].message == "dataset has begun"
    assert len({event.id for event in listed}) == len(listed)
    assert [event.data for event in listed if event.type == "metrics"] == [
        {"step": 2, "total_steps": 2, "train_loss": 0.5},
        {"step": 1, "total_steps": 2, "train_loss": 1.0},
    ]
    alike, few = [event.message for event in listed if event.level == "warn"]
    assert alike == "2 rows are alike"
    assert "2 held-out rows" in few
    assert not whole.has_more
    kept, earlier = (await sdk.fine_tuning.jobs.checkpoints.list(job.id)).data
    assert (kept.step_number, kept.metrics.train_loss, kept.metrics.valid_loss) == (2, 0.5, 0.4)
    assert kept.fine_tuned_model_checkpoint == f"ft:demo:default::{job.id}"
    after = await sdk.fine_tuning.jobs.checkpoints.list(job.id, after=kept.id)
    assert after.data == [earlier]
    assert earlier.fine_tuned_model_checkpoint == f"ft:demo:default::{job.id}:ckpt-step-1"
    for wrong in (kept.id, f"ftevent-{job.id}-", "ftevent-job_0000000000000000-2"):
        with pytest.raises(openai.NotFoundError) as caught:
            await sdk.fine_tuning.jobs.list_events(job.id, after=wrong)
        assert caught.value.param == "after"


async def test_a_job_is_paused_and_goes_on(tmp_path: Path) -> None:
    async with Workshop(tmp_path, "trains_until_told") as shop, client_of(shop) as client:
        sdk = sdk_of(client)
        rows = await uploaded(sdk)
        job = await sdk.fine_tuning.jobs.create(model="demo", training_file=rows, suffix="late")
        await shop.begun(shop.store.jobs.get(job.id))
        job = await sdk.fine_tuning.jobs.retrieve(job.id)
        assert job.status == "running"
        await sdk.fine_tuning.jobs.pause(job.id)
        paused = await ended(sdk, job)
        assert (paused.status, paused.error) == ("cancelled", None)
        newest = (await sdk.fine_tuning.jobs.list_events(job.id, limit=1)).data[0]
        assert "paused" in newest.message
        with pytest.raises(openai.ConflictError):
            await sdk.fine_tuning.jobs.cancel(job.id)
        resumed = await sdk.fine_tuning.jobs.resume(job.id)
        assert resumed.status == "queued"
        (shop.directory(shop.store.jobs.get(job.id)).path / "enough").touch()
        failed = await ended(sdk, resumed)
        assert failed.status == "failed"
        assert failed.error
        assert (failed.error.code, failed.error.message) == ("told", "Told. Enough.")


async def test_what_no_model_came_of_has_failed(shop: Workshop, sdk: openai.AsyncOpenAI) -> None:
    shop.runtime.rule = lambda _: "something else"  # type: ignore[attr-defined]
    rows = await uploaded(sdk)
    job = await sdk.fine_tuning.jobs.create(model="demo", training_file=rows, suffix="x")
    refused = await ended(sdk, job)
    shop.runtime.rule = echo  # type: ignore[attr-defined]
    assert (refused.status, refused.fine_tuned_model) == ("failed", None)
    assert refused.error
    assert refused.error.code == "not_published"
    assert shop.store.jobs.get(job.id).status == "trained"


async def test_preferences_are_learned_by_dpo(
    waiting: tuple[Workshop, openai.AsyncOpenAI],
) -> None:
    shop, sdk = waiting
    rows = await uploaded(sdk, "\n".join(map(json.dumps, PREFERENCES)).encode())
    job = await sdk.fine_tuning.jobs.create(
        model="demo",
        training_file=rows,
        method={"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.2, "n_epochs": "auto"}}},
        extra_body={"hyperparameters": {"lora_dropout": 0.0, "rank": None}},
    )
    spec = shop.store.jobs.get(job.id).spec
    assert (spec["method"], spec["extra"], spec["lora_dropout"]) == ("dpo", {"beta": 0.2}, 0.0)
    assert job.method
    assert job.method.dpo
    assert job.method.dpo.hyperparameters
    assert job.method.dpo.hyperparameters.beta == 0.2
    assert job.hyperparameters.n_epochs == 1
    assert job.hyperparameters.batch_size == "auto"
    with pytest.raises(openai.BadRequestError, match=r"method\.type dpo learns") as caught:
        await sdk.fine_tuning.jobs.create(model="demo", training_file=rows)
    assert caught.value.param == "training_file"


async def test_a_suffix_that_is_no_free_name_leaves_the_jobs_id(
    waiting: tuple[Workshop, openai.AsyncOpenAI],
) -> None:
    shop, sdk = waiting
    rows = await uploaded(sdk)
    for suffix in ("a suffix: of words", "demo", "x--checking", None):
        job = await sdk.fine_tuning.jobs.create(model="demo", training_file=rows, suffix=suffix)
        row = shop.store.jobs.get(job.id)
        assert row.model_name == job.id
        shop.store.models.put(row.model_name, "fine-tune", "demo", row.id)
        alias = f"ft:demo:default:{suffix or ''}:{job.id}"
        assert await plain_name(shop.store, alias) == job.id
        with pytest.raises(openai.BadRequestError) as caught:
            await sdk.fine_tuning.jobs.create(model=alias, training_file=rows)
        assert caught.value.param == "model"


async def test_jobs_are_listed_in_pages_and_by_their_metadata(
    waiting: tuple[Workshop, openai.AsyncOpenAI],
) -> None:
    shop, sdk = waiting
    rows = await uploaded(sdk)
    notes: list[Any] = [None, {"team": "red", "a[b]": ""}, {"team": "blue"}, {"team": "red"}]
    made = [
        (await sdk.fine_tuning.jobs.create(model="demo", training_file=rows, metadata=note)).id
        for note in notes
    ]
    await shop.submit("of-the-customers-path")
    everything = [job async for job in sdk.fine_tuning.jobs.list(limit=2)][:5]
    assert [job.id for job in everything[1:]] == made[::-1]
    assert everything[0].training_file == ""

    async def found(**metadata: Any) -> list[str]:
        jobs = sdk.fine_tuning.jobs.list(limit=1, metadata=metadata)
        return [job.id async for job in jobs]

    assert await found(team="red") == [made[3], made[1]]
    assert await found(**{"team": "red", "a[b]": ""}) == [made[1]]
    assert await found(team="green") == []
    none = await sdk.fine_tuning.jobs.list(limit=2, extra_query={"metadata": "null"})
    assert [job.id for job in none.data] == [everything[0].id, made[0]]
    cancelled = await sdk.fine_tuning.jobs.cancel(made[0])
    assert (cancelled.status, cancelled.fine_tuned_model) == ("cancelled", None)


SUPERVISED = "method.supervised.hyperparameters"


REFUSED: list[tuple[Any, int, str]] = [
    (
        {"method": {"type": "reinforcement", "reinforcement": {"grader": {}}}},
        400,
        "method.type",
    ),
    ({"method": {"type": "magic"}}, 400, "method.type"),
    ({"method": {"type": "dpo", "supervised": {}}}, 400, "method.supervised"),
    ({"integrations": [{"type": "wandb", "wandb": {"project": "x"}}]}, 400, "integrations"),
    ({"suffix": ""}, 400, "suffix"),
    ({"suffix": "x" * 65}, 400, "suffix"),
    ({"suffix": "a\nb"}, 400, "suffix"),
    ({"metadata": {"a": 1}}, 400, "metadata.a"),
    ({"metadata": {str(number): "" for number in range(17)}}, 400, "metadata"),
    ({"seed": -1}, 400, "seed"),
    ({"model": "nobody"}, 404, "model"),
    ({"training_file": "ds_0123456789abcdef"}, 404, "training_file"),
    ({"validation_file": "file-nothing"}, 404, "validation_file"),
    ({"hyperparameters": {"n_epochs": 0}}, 400, "hyperparameters.n_epochs"),
    ({"hyperparameters": {"speed": 1}}, 400, "hyperparameters.speed"),
    ({"hyperparameters": {"bits": 5}}, 400, "hyperparameters.bits"),
    ({"hyperparameters": {"beta": 0.1}}, 400, "hyperparameters.beta"),
    ({"hyperparameters": {"metadata": {}}}, 400, "hyperparameters.metadata"),
    ({"hyperparameters": {"base_model_folder": "/"}}, 400, "hyperparameters.base_model_folder"),
    ({"hyperparameters": {"epochs": 1, "n_epochs": 1}}, 400, "hyperparameters.epochs"),
    (
        {"hyperparameters": {"batch_size": 6, "gradient_accumulation_steps": 4}},
        400,
        "hyperparameters.batch_size",
    ),
    (
        {"hyperparameters": {"batch_size": 40, "gradient_accumulation_steps": 40}},
        400,
        "hyperparameters.batch_size",
    ),
    (
        {"hyperparameters": {"learning_rate_multiplier": 1e9}},
        400,
        "hyperparameters.learning_rate_multiplier",
    ),
    ({"hyperparameters": {"adapter": "full"}}, 400, "hyperparameters.bits"),
    (
        {
            "method": {
                "type": "supervised",
                "supervised": {"hyperparameters": {"method": "dpo"}},
            }
        },
        400,
        f"{SUPERVISED}.method",
    ),
    (
        {"method": {"type": "supervised", "supervised": {"hyperparameters": {"rank": 0}}}},
        400,
        f"{SUPERVISED}.rank",
    ),
]


async def test_what_cannot_be_had_is_refused_by_its_member(
    waiting: tuple[Workshop, openai.AsyncOpenAI],
) -> None:
    shop, sdk = waiting
    call = {"model": "demo", "training_file": await uploaded(sdk)}
    found: list[Any] = []
    before = shop.store.jobs.all()
    for members, _, _ in REFUSED:
        with pytest.raises(openai.APIStatusError) as caught:
            await sdk.fine_tuning.jobs.create(**{**call, **members})
        found.append((members, caught.value.status_code, caught.value.param))
    assert found == REFUSED
    assert shop.store.jobs.all() == before
    assert shop.left_behind() == []


def test_a_key_tunes_what_it_may_use_into_what_it_may_use(tmp_path: Path) -> None:
    with open_service(tmp_path, api_key="first") as service:
        base = service.app.state.services.settings.base_models_dir / "demo"
        base.mkdir(parents=True)
        (base / "config.json").write_text("{}")

        def with_key(**wanted: Any) -> openai.OpenAI:
            first = {"Authorization": "Bearer first"}
            made = service.client.post("/keys", json={"alias": "one", **wanted}, headers=first)
            return sdk_over(service.client, made.json()["key"])

        sdk = with_key(models=["demo", "mine"], scopes=["train"])
        file = sdk.files.create(file=("rows.csv", csv_file()), purpose="fine-tune").id
        for suffix in (None, "yours"):
            with pytest.raises(openai.BadRequestError) as caught:
                sdk.fine_tuning.jobs.create(model="demo", training_file=file, suffix=suffix)
            assert caught.value.param == "suffix"
        with pytest.raises(openai.NotFoundError):
            sdk.fine_tuning.jobs.create(model="other", training_file=file, suffix="mine")
        job = sdk.fine_tuning.jobs.create(model="demo", training_file=file, suffix="mine")
        assert job.status == "queued"
        for taken in ("mine", "demo"):  # under the job's id it could not use the model
            with pytest.raises(openai.BadRequestError) as caught:
                sdk.fine_tuning.jobs.create(model="demo", training_file=file, suffix=taken)
            assert caught.value.param == "suffix"
        with pytest.raises(openai.PermissionDeniedError):
            with_key(scopes=["use"]).fine_tuning.jobs.retrieve(job.id)
