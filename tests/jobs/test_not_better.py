"""What is not better than its base is not published where that is required, unless somebody insists."""

from pathlib import Path

import pytest

from finetune.job.kept_bases import FOLDER
from finetune.job.stage import fingerprint
from tests.jobs.workshop import Workshop

pytestmark = pytest.mark.anyio


async def test_it_stays_trained_says_why_and_is_published_with_a_warning_by_force(
    tmp_path: Path,
) -> None:
    async with Workshop(tmp_path, "is_not_better") as shop:
        job = await shop.until(await shop.submit(require_improvement=True))
        assert job.status == "trained"
        assert job.error is not None
        assert (job.error["title"], job.error["stage"]) == ("Not better than its base", "evaluate")
        assert "No difference" in job.error["detail"]
        assert shop.store.models.get("tuned") is None
        await shop.supervisor.publish(job.id)
        assert (await shop.until(job)).status == "trained"
        await shop.supervisor.publish(job.id, force=True)
        assert (await shop.until(job)).status == "succeeded"
        record = shop.store.models.get("tuned")
        assert record is not None
        assert "No difference" in record.warning


async def test_the_files_of_a_base_that_has_gone_go_at_the_next_start(tmp_path: Path) -> None:
    async with Workshop(tmp_path) as shop:
        base = shop.settings.base_models_dir / "demo"
        kept = shop.jobs_dir / FOLDER
        kept.mkdir()
        (kept / "notes.txt").write_text("somebody's")
        for mark in (fingerprint(base), "0" * 64):
            (kept / f"{mark}.json").write_text('{"base": "../base_models/demo"}')
            (kept / f"{mark}-Q8_0.gguf").write_text("GGUF")
        (kept / ".making").mkdir()
        (kept / ".making" / "f16.gguf").write_text("half")
    async with Workshop(tmp_path):
        mark = fingerprint(base)
        left = {path.name for path in kept.iterdir()} - {"lock"}
        assert left == {"notes.txt", f"{mark}.json", f"{mark}-Q8_0.gguf"}
