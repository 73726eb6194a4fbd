"""`python -m finetune.lint`: its report, with a base and without, and what it takes to make one."""

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.errors import DatasetUnusable
from api.runners.linting import lint, refuse
from finetune.data.rows import Chat, Fold
from finetune.lint.linter import Linter
from finetune.lint.seen import Seen, hash_of
from tests.finetune.jobs import DEMO_MODEL, ROOT
from tests.finetune.lint.test_codes import FIXTURES

MILLION = 1_000_000


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
async def test_an_error_refuses_with_row_and_reason_unless_it_is_accepted() -> None:
    rows: dict[Fold, Path] = {"train": FIXTURES / "secret.jsonl"}
    report = await lint(rows)
    with pytest.raises(DatasetUnusable, match=r"First: row 6, turn 2: a private key") as refused:
        refuse(report, {"train": "train_dataset"})
    assert refused.value.extra["where"] == "train_dataset"
    assert refused.value.extra["errors"][0]["row"] == 6
    accepted = await lint(rows, accepted=["secret"])
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


def many(count: int) -> Iterator[Chat]:
    for number in range(count):
        turns: list[dict[str, Any]] = [
            {"role": "user", "content": f"Where in the building is thing {number}?"},
            {"role": "assistant", "content": f"On floor {number % 17}, in room {number}. " * 20},
        ]
        yield Chat(number, turns)


def test_ten_thousand_rows_are_remembered_in_hashes_alone() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    linter = Linter()
    linter.look("train", many(10_000))
    assert linter.report().findings == []
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 10_000, "their texts are 6 MB, and are read twice over by then"


@pytest.mark.soak
def test_a_million_rows_pass_in_bounded_memory() -> None:
    program = (
        "import resource; from finetune.lint.linter import Linter;"
        "from tests.finetune.lint.test_program import many;"
        "linter = Linter(); linter.look('train', many(1_000_000)); report = linter.report();"
        "assert report.findings == [];"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True
    )
    assert int(done.stdout) < 400, "MiB, with the interpreter and what the test imports"


@pytest.mark.soak
def test_the_table_of_hashes_takes_some_tens_of_bytes_an_entry() -> None:
    seen = Seen()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(MILLION):
        seen.first(hash_of(number.to_bytes(4)), number)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 120_000
