"""Stage `dataset`: what was uploaded becomes `train.jsonl`, `eval.jsonl` and `test.jsonl`, looked at token by token."""

import sys
from collections.abc import Iterator
from pathlib import Path

from finetune.bases.trying import require_tried
from finetune.data.errors import DatasetError
from finetune.data.folds import path_of, split
from finetune.data.reading import open_dataset
from finetune.data.rows import FOLDS, Fold, Row, read_rows, write_rows
from finetune.job import stage
from finetune.job.directory import ROWS, JobDirectory, StageDirectory
from finetune.job.locks import write_atomically
from finetune.job.spec import LEARNS, FineTuneSpec
from finetune.job.stage import StageFailed
from finetune.lint.linter import Linter
from finetune.lint.tokens import Tokens
from finetune.training.supervision import row_as_read


def write_inputs(job: JobDirectory, spec: FineTuneSpec, folder: Path) -> dict[Fold, int]:
    """inputs/ -> the three files of rows, what is not given being split off; how many rows each has."""
    train = job.input("train")
    if train is None:
        raise StageFailed("Dataset missing", "inputs/ holds no training data.")
    given = {fold: path for fold in FOLDS if fold != "train" and (path := job.input(fold))}
    counts = split(_rows(train, spec), folder, spec.seed, given)
    for fold, path in given.items():
        counts[fold] = write_rows(path_of(folder, fold), _rows(path, spec))
    if not counts["train"]:
        raise StageFailed("Nothing to learn", "inputs/ holds no rows to train on.")
    return counts


def _rows(path: Path, spec: FineTuneSpec) -> Iterator[Row]:
    """What the api has read and counted; of a file that nobody has, such as an older job's, all rows."""
    if path.name.endswith(ROWS):
        yield from read_rows(path)
        return
    try:
        reading = open_dataset(path, spec.wish(), LEARNS[spec.method])
        yield from (row for _, row in reading.rows(at_least=0, at_most=sys.maxsize))
    except DatasetError as error:
        raise StageFailed("Dataset unusable", f"inputs/{path.name}: {error.detail}") from error


def dataset(job: JobDirectory, spec: FineTuneSpec, folder: StageDirectory) -> None:
    """inputs/ -> dataset/train.jsonl, dataset/eval.jsonl, dataset/test.jsonl."""
    base = stage.base_folder(job, spec)
    if require_tried(base, spec.base_model, job.path):  # one that was put there by hand
        job.append_event("dataset", "tried", base=spec.base_model)
    write_inputs(job, spec, folder.path)
    tokens = Tokens(base, spec.max_length, spec.loss)
    linter = Linter(tokens)
    counts = {}
    for fold in FOLDS:
        path = path_of(folder.path, fold)
        counts[fold] = _rewrite(
            path, (row_as_read(tokens.tokenizer, row) for row in read_rows(path))
        )
        linter.look(fold, read_rows(path))
    report = linter.report(spec.accepted)
    write_atomically(folder.path / "lint.json", report.model_dump_json())
    for finding in report.warnings:
        job.append_event("dataset", "warning", **finding.event())
    for finding in report.errors:
        raise StageFailed("Dataset unusable", finding.event()["detail"])
    if tokens.left_out:
        train = path_of(folder.path, "train")
        learned = (row for row in read_rows(train) if row.number not in tokens.left_out)
        counts["train"] = _rewrite(train, learned)
    folder.mark_done(
        [path_of(folder.path, fold) for fold in FOLDS],
        base=stage.fingerprint(base),
        rows=counts["train"],
        eval_rows=counts["eval"],
        test_rows=counts["test"],
        held_out=job.input("eval") is None,
        tokens=report.figures.tokens,
        longest=report.figures.longest,
    )


def _rewrite(path: Path, rows: Iterator[Row]) -> int:
    """Put other rows in the place of a file's, which may be read meanwhile; how many there are."""
    other = path.with_suffix(".other")
    count = write_rows(other, rows)
    other.replace(path)
    return count


if __name__ == "__main__":
    sys.exit(stage.main("dataset", dataset))
