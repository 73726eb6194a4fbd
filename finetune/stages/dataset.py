"""Stage `dataset`: the uploaded CSV files become `train.jsonl` and `eval.jsonl`, looked at token by token."""

import random
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from finetune.data.csv import DatasetError, read_csv
from finetune.data.rows import Chat, write_rows
from finetune.job import stage
from finetune.job.directory import JobDirectory, StageDirectory
from finetune.job.locks import write_atomically
from finetune.job.spec import FineTuneSpec, held_out_rows
from finetune.job.stage import StageFailed
from finetune.lint.linter import Linter
from finetune.lint.report import Report
from finetune.lint.tokens import Tokens
from finetune.lint.turns import key
from finetune.tokenizer import as_read


def hold_out(rows: list[Chat], seed: int) -> tuple[list[Chat], list[Chat]]:
    """Split off a small share that is not trained on: the same one for the same seed, and none of few rows.

    Rows that occur more than once stay in training while there are others: a held-out copy tells nothing.
    """
    count = held_out_rows(len(rows))
    occurrences = Counter(key(row) for row in rows)
    alone = [place for place, row in enumerate(rows) if occurrences[key(row)] == 1]
    pool = alone if len(alone) >= count else list(range(len(rows)))
    places = set(random.Random(seed).sample(pool, count))  # noqa: S311  no secret
    train = [row for place, row in enumerate(rows) if place not in places]
    return train, [row for place, row in enumerate(rows) if place in places]


def _read(path: Path, at_least: int) -> list[Chat]:
    try:
        return read_csv(path, at_least=at_least, at_most=sys.maxsize)  # the api has counted them
    except FileNotFoundError as error:
        raise StageFailed("Dataset missing", f"inputs/{path.name} is not there.") from error
    except DatasetError as error:
        raise StageFailed("Dataset unusable", f"inputs/{path.name}: {error.detail}") from error


def _as_read(tokenizer: PreTrainedTokenizerBase, row: Chat) -> Chat:
    return replace(row, messages=as_read(tokenizer, row.messages))


def looked_at(tokens: Tokens, train: list[Chat], test: list[Chat]) -> Report:
    """What the linter says of all rows."""
    linter = Linter(tokens)
    linter.look("train", train)
    linter.look("eval", test)
    return linter.report()


def dataset(job: JobDirectory, spec: FineTuneSpec, folder: StageDirectory) -> None:
    """inputs/*.csv -> dataset/train.jsonl, dataset/eval.jsonl."""
    base = stage.base_folder(job, spec)
    train = _read(job.train_csv, at_least=2)
    if job.eval_csv.is_file():
        held_out = False
        test = _read(job.eval_csv, at_least=1)
    else:
        held_out = True
        train, test = hold_out(train, spec.seed)
    tokens = Tokens(base, spec.max_length)
    train, test = ([_as_read(tokens.tokenizer, row) for row in rows] for rows in (train, test))
    report = looked_at(tokens, train, test)
    write_atomically(folder.path / "lint.json", report.model_dump_json())
    for finding in report.warnings:
        job.append_event("dataset", "warning", **finding.event())
    for finding in report.errors:
        raise StageFailed("Dataset unusable", finding.event()["detail"])
    train = [row for row in train if row.number not in tokens.left_out]
    paths = [folder.path / "train.jsonl", folder.path / "eval.jsonl"]
    for path, rows in zip(paths, (train, test), strict=True):
        write_rows(path, rows)
    facts: dict[str, Any] = {
        "base": stage.fingerprint(base),
        "rows": len(train),
        "eval_rows": len(test),
        "held_out": held_out,
        "tokens": report.figures.tokens,
        "longest": report.figures.longest,
    }
    folder.mark_done(paths, **facts)


if __name__ == "__main__":
    sys.exit(stage.main("dataset", dataset))
