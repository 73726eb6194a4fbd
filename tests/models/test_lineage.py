"""What a published model is known to have learned from, and for how long that is known."""

import hashlib
from pathlib import Path

import pytest

from api.jobs.deleting import delete_job
from api.models.lineage import Lineage, learned_from, lineage_of, recorded
from api.store.jobs import Job
from finetune.job.directory import JobDirectory
from finetune.job.versions import versions
from tests.fakes import FakeRuntime
from tests.jobs.workshop import Workshop, csv_file

pytestmark = pytest.mark.anyio

SHA256 = hashlib.sha256(csv_file().getvalue()).hexdigest()


async def published(shop: Workshop) -> tuple[Job, Lineage]:
    job = await shop.until(await shop.submit(rank=8))
    assert job.status == "succeeded"
    lineage = recorded(shop.store.models.get("tuned"))
    assert lineage
    return job, lineage


async def test_a_model_records_what_it_learned_from_and_what_made_it(tmp_path: Path) -> None:
    async with Workshop(tmp_path) as shop:
        job, lineage = await published(shop)
    assert (lineage.job_id, lineage.base) == (job.id, "demo")
    assert lineage.datasets["train"].sha256 == SHA256
    assert lineage.settings["rank"] == 8
    assert "base_model_folder" not in lineage.settings
    assert lineage.versions == versions()
    assert lineage.versions["llm-fastapi"]
    assert lineage.report == f"/jobs/{job.id}/report"


async def test_it_is_known_when_the_job_is_deleted(tmp_path: Path) -> None:
    runtime = FakeRuntime()
    async with Workshop(tmp_path, runtime=runtime) as shop:
        job, lineage = await published(shop)
        await delete_job(shop.store, runtime, shop.supervisor, job.id)
        assert recorded(shop.store.models.get("tuned")) == lineage


async def test_a_dataset_knows_the_models_that_learned_from_it(tmp_path: Path) -> None:
    async with Workshop(tmp_path) as shop:
        await published(shop)
        shop.store.models.put("ada", "persona", "tuned")
        records = list(shop.store.models.all().values())
    assert learned_from(records, {"ds_other", SHA256}) == ["tuned"]
    assert learned_from(records, {"ds_other", "0" * 64}) == []


def test_a_document_knows_the_models_that_learned_its_pages(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    documents = [{"id": "doc_1", "name": "rules.pdf", "sha256": "a" * 64}]
    origin = {"name": "documents.jsonl", "sha256": "b" * 64, "documents": documents}
    lineage = {"job_id": "job_1", "base": "demo", "datasets": {"train": origin}}
    shop.store.models.put("tuned", "fine-tune", "demo", "job_1", lineage=lineage)
    records = list(shop.store.models.all().values())
    assert learned_from(records, {"doc_1", "c" * 64}) == ["tuned"]
    assert learned_from(records, {"doc_2", "a" * 64}) == ["tuned"]
    assert learned_from(records, {"doc_2", "c" * 64}) == []


def test_a_folder_that_says_nothing_has_no_lineage(tmp_path: Path) -> None:
    assert lineage_of(JobDirectory(tmp_path)) is None
