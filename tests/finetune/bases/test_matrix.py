"""Every form of base that people use: its GGUF reads, ends and speaks like the model itself, and it learns."""

import logging
from pathlib import Path

import pytest

from finetune.bases.trial import try_base
from tests.finetune.bases.forms import FORMS, make

TRAINED = ("tinyllama", "qwen-3-moe")
"""Those that are trained for a step and published in every run; the others when `--soak` is given."""


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
