"""The stage writes down what is wrong with a file, and the job goes on."""

import os
from pathlib import Path

import pytest

from finetune.job import stage, verified
from finetune.job.directory import JobDirectory
from finetune.stages.quantize import quantize_file
from finetune.stages.verify import verify
from tests.finetune.conftest import Life, copied

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]


def refusal(job: JobDirectory) -> verified.Refusal:
    """The first thing that verifying finds wrong."""
    folder = job.stage("verify")
    folder.done_path.unlink(missing_ok=True)
    verify(job, stage.read_spec(job), folder)
    assert folder.done() is not None
    return verified.refusals_of(job)[0]


def test_a_good_export_is_not_refused(life: Life) -> None:
    assert verified.refusals_of(life.job) == []
    files = verified.report_of(life.job)["files"]
    assert set(files) == {"convert/model-f16.gguf", "quantize/model.gguf"}


def test_an_f16_file_of_the_base_is_caught(life: Life, tmp_path: Path, demo_gguf: Path) -> None:
    job = copied(life.job, life.job.path.parent / "job_of_the_base")
    target = job.path / "convert" / "model-f16.gguf"
    target.unlink()
    os.link(demo_gguf, target)
    found = refusal(job)
    assert (found.file, found.title) == ("convert/model-f16.gguf", "The GGUF speaks differently")


def test_a_quantized_file_of_the_base_is_caught(life: Life, demo_gguf: Path) -> None:
    job = copied(life.job, life.job.path.parent / "job_quantized_base")
    quantize_file(demo_gguf, job.gguf_path, "Q4_K_M")
    found = refusal(job)
    assert (found.file, found.title) == (
        "quantize/model.gguf",
        "The quantized GGUF holds other weights",
    )
