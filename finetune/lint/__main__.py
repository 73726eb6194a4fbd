"""`python -m finetune.lint --train ROWS [--eval ROWS] [--test ROWS] [--base FOLDER]`: prints a report as JSON.

ROWS are files that `finetune/data/rows.py` wrote. Without a base, or without what reads its tokenizer, the texts alone
are looked at, and the report says so. Torch is not loaded, even where it is installed: a tokenizer needs none.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.data.rows import FOLDS, read_rows
from finetune.job.spec import TrainingParameters, parse_spec
from finetune.job.stage import StageFailed
from finetune.lint.linter import Linter
from finetune.lint.reading import why_not

if TYPE_CHECKING:
    from finetune.lint.tokens import Tokens


def _tokens(base: Path, parameters: TrainingParameters) -> "Tokens":
    """Raises `StageFailed`."""
    sys.modules["torch"] = None  # type: ignore[assignment]  # transformers then does without
    from finetune.lint.tokens import Tokens

    return Tokens(base, parameters.max_length, parameters.loss, parameters.chat_template)


def main() -> None:
    """Look, and print."""
    parser = argparse.ArgumentParser(prog="python -m finetune.lint")
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--eval", type=Path)
    parser.add_argument("--test", type=Path)
    parser.add_argument("--base", type=Path, help="the Hugging Face folder of the base")
    parser.add_argument("--spec", type=Path, help="the spec.json of a run, for its parameters")
    parser.add_argument("--token-rows", type=int, help="so many rows of each part as tokens")
    wanted = parser.parse_args()
    parameters: TrainingParameters = (
        parse_spec(wanted.spec.read_bytes()) if wanted.spec else TrainingParameters()
    )
    tokens, reason = None, why_not(wanted.base)
    if reason is None:
        try:
            tokens = _tokens(wanted.base, parameters)
        except StageFailed as failed:
            reason = f"{failed.title}: {failed.detail}"
    linter = Linter(tokens, wanted.token_rows)
    for fold in FOLDS:
        if path := getattr(wanted, fold):
            linter.look(fold, read_rows(path))
    report = linter.report(parameters.accepted)
    report.read_by = wanted.base.name if tokens else None
    report.not_read = None if tokens else reason
    sys.stdout.write(report.model_dump_json())


if __name__ == "__main__":
    main()
