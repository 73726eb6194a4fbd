"""A job whose file was refused stays trained and says why; by force it is published, and the model says why too."""

from pathlib import Path

import pytest

from finetune.job import verified
from finetune.job.directory import JobDirectory
from tests.jobs.client import client_of
from tests.jobs.workshop import Workshop

pytestmark = pytest.mark.anyio


async def test_it_is_not_published_unless_somebody_insists_and_then_carries_a_warning(
    tmp_path: Path,
) -> None:
    async with Workshop(tmp_path, "is_refused") as shop, client_of(shop) as client:
        job = await shop.until(await shop.submit())
        assert job.status == "trained"
        assert job.error is not None
        assert job.error["title"] == "The quantized GGUF holds other weights"
        assert (job.error["stage"], "blk.2" in job.error["detail"]) == ("verify", True)
        shown = (await client.get(f"/jobs/{job.id}")).json()
        assert shown["verification"]["files"]["quantize/model.gguf"] == {"mean": 0.4}
        await client.post(f"/jobs/{job.id}/publish")
        assert (await shop.until(job)).status == "trained"

        answer = await client.post(f"/jobs/{job.id}/publish", params={"force": "true"})
        assert answer.status_code == 202
        assert (await shop.until(job)).status == "succeeded"
        model = (await client.get("/show_model/tuned")).json()
        assert model["warning"].startswith("The quantized GGUF holds other weights. Tensor blk.2")
        listed = (await client.get("/list_models", params={"details": "true"})).json()["models"]
        warnings = {one["name"]: one.get("warning") for one in listed}
        assert warnings == {"demo": None, "tuned": model["warning"]}


async def test_what_a_model_without_faults_says_is_no_warning(tmp_path: Path) -> None:
    async with Workshop(tmp_path) as shop, client_of(shop) as client:
        await shop.until(await shop.submit())
        assert "warning" not in (await client.get("/show_model/tuned")).json()


async def test_the_bounds_of_this_installation_go_with_the_job(tmp_path: Path) -> None:
    bounds = '{"largest": 0.1, "loss": {"Q4_K_M": 0.2}}'
    async with Workshop(tmp_path, verify_bounds=bounds) as shop:
        kept = (await shop.submit()).spec["bounds"]
    assert (kept["largest"], kept["loss"]["Q4_K_M"], kept["loss"]["Q8_0"]) == (0.1, 0.2, 0.02)


def test_a_refused_job_that_is_resumed_is_verified_again(tmp_path: Path) -> None:
    job = JobDirectory(tmp_path)
    folder = job.stage("verify")
    report = folder.path / "report.json"
    report.write_text('{"refused": []}')
    folder.mark_done([report])
    verified.forget_refusals(job)
    assert folder.done() is not None
    report.write_text('{"refused": [{"file": "f", "title": "t", "detail": "d"}]}')
    verified.forget_refusals(job)
    assert folder.done() is None
