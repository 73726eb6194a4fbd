"""Every form of base that people use: its GGUF reads, ends and speaks like the model itself, and it learns."""

import importlib
import logging
from pathlib import Path

import pytest

from finetune.bases.trial import try_base
from finetune.checks.samples import CONVERSATIONS
from finetune.job import tried
from finetune.job.directory import JobDirectory
from finetune.job.spec import stages_of
from finetune.job.stage import read_spec
from finetune.stages.train import train
from finetune.training.progress import StopWish
from tests.finetune.bases.forms import FORMS, make
from tests.finetune.conftest import question_rows
from tests.finetune.jobs import new_job

IN_EVERY_RUN = ("tinyllama", "qwen-3-moe")


@pytest.fixture(autouse=True)
def quiet() -> None:
    logging.getLogger("hf-to-gguf").setLevel(logging.ERROR)


@pytest.mark.parametrize("name", FORMS)
def test_a_base_of_this_form_can_be_fine_tuned(tmp_path: Path, name: str) -> None:
    work = tmp_path / "work"
    work.mkdir()
    found = try_base(make(name, tmp_path / "base"), name, work)
    assert found is not None
    assert found.mean < 0.03


def run(job: JobDirectory) -> None:
    """All stages of a job, here."""
    spec = read_spec(job)
    for name in stages_of(spec):
        folder = job.stage(name)
        if name == "train":
            train(StopWish(), job, spec, folder)
        else:
            getattr(importlib.import_module(f"finetune.stages.{name}"), name)(job, spec, folder)


@pytest.mark.real
@pytest.mark.parametrize("name", IN_EVERY_RUN)
def test_a_base_of_this_form_is_trained_with_default_parameters_and_verified(
    tmp_path: Path, name: str
) -> None:
    tried.remember(make(name, tmp_path / "base"), None)
    rows = [*question_rows()[:14], [*CONVERSATIONS[1], {"role": "assistant", "content": "Me."}]]
    job = new_job(tmp_path / "job", rows, quantization="F16")
    run(job)
    assert job.probes_path.is_file()
