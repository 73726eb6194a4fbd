"""The linter has nothing against good rows, whatever base reads them."""

from pathlib import Path

import pytest

from finetune.lint.tokens import Tokens
from tests.finetune.bases.forms import FORMS, make
from tests.finetune.lint.test_codes import report_on

AT_EVERY_RUN = ("llama-2-chat", "qwen-3-thinking", "gpt-2")


@pytest.mark.parametrize(
    "name",
    [
        name if name in AT_EVERY_RUN else pytest.param(name, marks=pytest.mark.soak)
        for name in FORMS
    ],
)
def test_it_finds_nothing_in_clean_rows_as_a_base_reads_them(name: str, tmp_path: Path) -> None:
    report = report_on("clean", Tokens(make(name, tmp_path / "base"), 512))
    assert report.findings == []
    assert any(piece.learned for piece in report.samples[0].pieces)
