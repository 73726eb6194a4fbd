"""Each code of the linter: what it is found in, that it is found in nothing else, and that it is written about."""

import re
import shutil
from pathlib import Path

import pytest

from finetune.data.rows import read_rows
from finetune.lint.codes import CODES
from finetune.lint.linter import Linter
from finetune.lint.report import Report
from finetune.lint.tokens import Tokens
from tests.finetune.jobs import DEMO_MODEL, ROOT

FIXTURES = Path(__file__).parent / "fixtures"
PAGE = ROOT / "docs" / "what-the-linter-says.md"
NAMES = [code.name for code in CODES]
IN_TEXTS = [code.name for code in CODES if not code.needs_tokens]
MAX_LENGTH = 128


def report_on(name: str, tokens: Tokens | None) -> Report:
    linter = Linter(tokens)
    linter.look("train", read_rows(FIXTURES / f"{name}.jsonl"))
    if (FIXTURES / f"{name}.eval.jsonl").exists():
        linter.look("eval", read_rows(FIXTURES / f"{name}.eval.jsonl"))
    return linter.report()


def tokens_for(name: str, folder: Path) -> Tokens:
    """The demo model's tokenizer, with the chat template that goes with the fixture."""
    base = folder / "base"
    base.mkdir()
    for file in ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(DEMO_MODEL / file, base)
    if (FIXTURES / f"{name}.jinja").exists():
        shutil.copy(FIXTURES / f"{name}.jinja", base / "chat_template.jinja")
    return Tokens(base, MAX_LENGTH)


@pytest.mark.parametrize("name", NAMES)
def test_its_fixture_has_this_and_nothing_else(name: str, tmp_path: Path) -> None:
    found = report_on(name, tokens_for(name, tmp_path)).findings
    assert [finding.code for finding in found] == [name]
    assert found[0].rows
    assert found[0].detail
    assert found[0].remedy


@pytest.mark.parametrize("name", IN_TEXTS)
def test_what_stands_in_the_text_is_found_without_a_tokenizer(name: str) -> None:
    assert [finding.code for finding in report_on(name, None).findings] == [name]


def test_nothing_is_found_in_clean_rows(tmp_path: Path) -> None:
    report = report_on("clean", tokens_for("clean", tmp_path))
    assert report.findings == []
    assert report.figures.rows == {"train": 10}


def test_every_code_stands_on_the_page_with_how_bad_it_is() -> None:
    told = re.findall(r"^\| `(\w+)` \| (\w+)", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert told == [(code.name, code.severity) for code in CODES]


def test_there_is_no_fixture_without_a_code() -> None:
    assert {path.name.split(".")[0] for path in FIXTURES.iterdir()} == {*NAMES, "clean"}
