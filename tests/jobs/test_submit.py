"""What a submission leaves, and that a refused one leaves nothing."""

import asyncio
import errno
import io
from pathlib import Path

import pytest

from api.errors import (
    BaseModelNotTrainable,
    BaseModelUnfit,
    DatasetUnusable,
    InvalidName,
    InvalidOption,
    NameTaken,
    OutOfSpace,
    UnsupportedMediaType,
)
from api.runtime import ExistingModel, Persona
from finetune.job.directory import sha256_of
from finetune.job.spec import parse_spec
from tests.jobs.workshop import Workshop, csv_file, refused, submission

pytestmark = pytest.mark.anyio


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


async def test_a_submission_becomes_a_directory_and_a_row(shop: Workshop) -> None:
    dataset = csv_file(20)
    job = await shop.submitter.submit(submission(rank=8, train=dataset, eval=csv_file(3)))
    directory = shop.directory(job)
    spec = parse_spec(directory.spec_path.read_bytes())
    assert (spec.model_name, spec.base_model, spec.rank) == ("tuned", "demo", 8)
    assert (directory.path / spec.base_model_folder / "config.json").is_file()
    assert not Path(spec.base_model_folder).is_absolute()
    train = directory.input_path("train", "csv")
    assert train.read_bytes() == dataset.getvalue()
    assert spec.datasets["train"].sha256 == sha256_of(train)
    assert directory.input("eval")
    assert shop.store.jobs.get(job.id).spec == spec.model_dump(mode="json")
    assert shop.left_behind() == []


@pytest.mark.parametrize(
    ("dataset", "error"),
    [
        (io.BytesIO(b"%PDF-1.7 and so on"), UnsupportedMediaType),
        (io.BytesIO(b"PK\x03\x04 a workbook"), UnsupportedMediaType),
        (io.BytesIO(b""), DatasetUnusable),
        (io.BytesIO(b"text\nno messages\n"), DatasetUnusable),
        (csv_file(5, '[{"role": "wizard", "content": "x"}]'), DatasetUnusable),
        (csv_file(1), DatasetUnusable),
        (csv_file(1001), DatasetUnusable),
    ],
    ids=["pdf", "workbook", "empty", "no column", "unknown role", "one row", "too many rows"],
)
async def test_a_dataset_that_cannot_be_used_is_refused_and_leaves_nothing(
    shop: Workshop, dataset: io.BytesIO, error: type[Exception]
) -> None:
    refusal = await refused(shop.submitter.submit(submission(train=dataset)))
    assert type(refusal) is error
    assert refusal.extra["where"] == "train_dataset"
    assert shop.store.jobs.all() == []
    assert shop.left_behind() == []


async def test_a_bad_row_is_named_with_row_column_and_what_was_expected(shop: Workshop) -> None:
    wrong = csv_file(30, '[{"role": "user", "content": ""}]')
    refusal = await refused(shop.submitter.submit(submission(eval=wrong)))
    assert refusal.extra["where"] == "eval_dataset"
    assert refusal.extra["count"] == 30
    assert len(refusal.extra["errors"]) == 20
    assert refusal.extra["errors"][0].keys() == {"row", "column", "reason", "expected"}


async def test_a_text_that_a_spreadsheet_may_have_cut_is_a_warning_of_the_job(
    shop: Workshop,
) -> None:
    long = "x" * 32_767
    rows = "".join(f"Question {number}?,{number} is short\n" for number in range(5))
    train = io.BytesIO(f"prompt,completion\n{rows}Why?,{long}\n".encode())
    job = await shop.submitter.submit(submission(train=train))
    [warning] = [event.fields for event in shop.directory(job).events()[0]]
    assert (warning["kind"], warning["rows"]) == ("cut_cell", [6])
    assert "train_dataset: a text of exactly 32,767 characters" in warning["detail"]


async def test_a_name_that_a_model_has_is_taken(shop: Workshop) -> None:
    refusal = await refused(shop.submit("DEMO"))
    assert isinstance(refusal, NameTaken)


async def test_a_name_that_a_job_is_going_to_give_is_taken(shop: Workshop) -> None:
    await shop.submit("tuned")
    assert isinstance(await refused(shop.submit("Tuned:latest")), NameTaken)
    assert len(shop.store.jobs.all()) == 1
    assert shop.left_behind() == []


async def test_of_two_submissions_at_once_with_one_name_one_wins(shop: Workshop) -> None:
    results = await asyncio.gather(*(shop.submit() for _ in range(4)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Job", *["NameTaken"] * 3]
    assert shop.left_behind() == []


async def test_a_name_that_breaks_the_rules_is_refused(shop: Workshop) -> None:
    assert isinstance(await refused(shop.submit("../up")), InvalidName)


async def test_a_persona_stands_for_its_base(shop: Workshop) -> None:
    await shop.runtime.create_model("ada", ExistingModel("demo"), Persona("Be Ada."))
    shop.store.models.put("ada", "persona", "demo")
    job = await shop.submitter.submit(submission(base="ADA"))
    assert job.base_model == "demo"


@pytest.mark.parametrize("base", ["nobody", "loop", "../base_models/demo", ""])
async def test_a_base_that_cannot_be_trained_is_refused_with_those_that_can(
    shop: Workshop, base: str
) -> None:
    shop.store.models.put("loop", "persona", "loop")
    refusal = await refused(shop.submitter.submit(submission(base=base)))
    assert isinstance(refusal, BaseModelNotTrainable)
    assert refusal.extra["trainable"] == ["demo"]


async def test_a_base_that_cannot_be_fine_tuned_is_refused_with_what_to_take_instead(
    shop: Workshop,
) -> None:
    config = shop.settings.base_models_dir / "demo" / "config.json"
    config.write_text('{"quantization_config": {"quant_method": "gptq"}}')
    refusal = await refused(shop.submitter.submit(submission()))
    assert isinstance(refusal, BaseModelUnfit)
    assert "demo is quantized (gptq)" in refusal.detail
    assert "Take the model that it was made from" in refusal.detail
    assert shop.left_behind() == []


async def test_a_plan_says_what_would_run_and_keeps_nothing(shop: Workshop) -> None:
    plan = await shop.submitter.plan(submission(epochs=2, train=csv_file(150)))
    assert (plan.rows, plan.eval_rows) == (134, 8)
    assert plan.gradient_accumulation_steps == 268 // 30
    assert plan.steps == 34
    assert shop.left_behind() == []
    assert shop.store.jobs.all() == []


async def test_an_accumulation_without_one_step_is_refused_with_the_numbers(
    shop: Workshop,
) -> None:
    refusal = await refused(shop.submit(gradient_accumulation_steps=50))
    assert isinstance(refusal, InvalidOption)
    assert "50" in refusal.detail
    assert "38" in refusal.detail
    assert shop.left_behind() == []


async def test_a_full_disk_is_said_and_leaves_nothing(shop: Workshop) -> None:
    class FullDisk(io.BytesIO):
        def read(self, _size: int | None = -1) -> bytes:
            raise OSError(errno.ENOSPC, "No space left on device")

    refusal = await refused(shop.submitter.submit(submission(train=FullDisk())))
    assert isinstance(refusal, OutOfSpace)
    assert shop.left_behind() == []
