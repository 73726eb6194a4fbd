"""`python -m finetune.lint`: its report, with a base and without, and what it takes to make one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from api.errors import DatasetUnusable
from api.runners.linting import lint, refuse
from finetune.data.rows import Fold
from tests.finetune.jobs import DEMO_MODEL, ROOT, new_job
from tests.finetune.lint.test_codes import FIXTURES


@pytest.mark.anyio
async def test_a_base_reads_the_rows_and_shows_what_is_learned_of_them() -> None:
    rows: dict[Fold, Path] = {"train": FIXTURES / "clean.jsonl"}
    report = await lint(rows, base=DEMO_MODEL)
    assert report.findings == []
    assert report.read_by == "demo_model"
    assert [(piece.text, piece.learned) for piece in report.samples[0].pieces] == [
        (
            "<s><|im_start|>user\nWhat is the wifi called?<|im_end|>\n<|im_start|>assistant\n",
            False,
        ),
        ("It is called Aurora.<|im_end|>", True),
        ("\n", False),
    ]
    figures = report.figures
    assert figures.rows_read_as_tokens == figures.sequences == 10
    assert 0 < figures.supervised_tokens < figures.tokens


@pytest.mark.anyio
async def test_without_a_base_that_can_be_read_the_texts_alone_are_looked_at(
    tmp_path: Path,
) -> None:
    rows: dict[Fold, Path] = {"train": FIXTURES / "secret.jsonl"}
    report = await lint(rows, base=tmp_path)
    assert [finding.code for finding in report.findings] == ["secret"]
    assert report.read_by is None
    assert report.not_read


@pytest.mark.anyio
async def test_an_error_refuses_with_row_and_reason_unless_it_is_accepted(
    tmp_path: Path,
) -> None:
    rows: dict[Fold, Path] = {"train": FIXTURES / "secret.jsonl"}
    report = await lint(rows)
    with pytest.raises(DatasetUnusable, match=r"First: row 6, turn 2: a private key") as refused:
        refuse(report, {"train": "train_dataset"})
    assert refused.value.extra["where"] == "train_dataset"
    assert refused.value.extra["errors"][0]["row"] == 6
    job = new_job(tmp_path / "job", accept="secret")
    accepted = await lint(rows, spec=job.spec_path)
    assert [finding.severity for finding in accepted.findings] == ["warning"]
    refuse(accepted, {"train": "train_dataset"})


def test_the_tokenizer_is_read_without_torch() -> None:
    program = (
        "import sys; sys.argv[1:] = ['--train', sys.argv[1], '--base', sys.argv[2]];"
        "from finetune.lint.__main__ import main; main();"
        "assert sys.modules['torch'] is None; assert 'finetune.training.supervision' in sys.modules"
    )
    arguments = [str(FIXTURES / "clean.jsonl"), str(DEMO_MODEL)]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=ROOT, capture_output=True, check=True
    )
    assert json.loads(done.stdout)["read_by"] == "demo_model"


def taken_by(rows: int) -> int:
    """MiB of a process that looks at so many rows with nothing wrong."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.finetune.lint.many", str(rows)],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    found, mebibytes = map(int, done.stdout.split())
    assert found == 0
    return mebibytes


@pytest.mark.soak
def test_a_million_rows_pass_in_bounded_memory() -> None:
    assert taken_by(1_000_000) - taken_by(1000) < 100, "MiB; their texts are 500"
