"""Stage `dataset`: what was uploaded becomes `train.jsonl`, `eval.jsonl` and `test.jsonl`, looked at token by token."""

import sys
from collections.abc import Callable, Container, Iterator
from functools import partial
from pathlib import Path

from finetune.bases.trying import require_tried
from finetune.data.errors import DatasetError
from finetune.data.folds import path_of, split
from finetune.data.reading import open_dataset
from finetune.data.rows import FOLDS, Fold, Row, read_rows, write_rows
from finetune.job import stage
from finetune.job.directory import ROWS, JobDirectory, StageDirectory
from finetune.job.files import write_atomically
from finetune.job.spec import LEARNS, FineTuneSpec
from finetune.job.stage import StageFailed
from finetune.lint.linter import Linter
from finetune.lint.tokens import Tokens
from finetune.training.supervision import row_as_read


def write_inputs(
    job: JobDirectory, spec: FineTuneSpec, folder: Path, read: Callable[[Row], Row]
) -> dict[Fold, int]:
    """inputs/ -> the three files of rows as they are `read`, what is not given being split off; how many each has."""
    train = job.input("train")
    if train is None:
        raise StageFailed("Dataset missing", "inputs/ holds no training data.")
    given = {fold: path for fold in FOLDS if fold != "train" and (path := job.input(fold))}
    counts = split(map(read, _rows(train, spec)), folder, spec.seed, given)
    for fold, path in given.items():
        counts[fold] = write_rows(path_of(folder, fold), map(read, _rows(path, spec)))
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
    tokens = Tokens(base, spec.max_length, spec.loss, spec.chat_template)
    counts = write_inputs(job, spec, folder.path, partial(row_as_read, tokens.tokenizer))
    linter = Linter(tokens)
    for fold in FOLDS:
        linter.look(fold, read_rows(path_of(folder.path, fold)))
    report = linter.report(spec.accepted)
    write_atomically(folder.path / "lint.json", report.model_dump_json())
    for finding in report.warnings:
        job.append_event("dataset", "warning", **finding.event())
    for finding in report.errors:
        raise StageFailed("Dataset unusable", finding.event()["detail"])
    if tokens.left_out:
        counts["train"] = _leave_out(path_of(folder.path, "train"), tokens.left_out)
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


def _leave_out(path: Path, numbers: Container[int]) -> int:
    """Take these rows out of a file; how many are left."""
    other = path.with_suffix(".other")
    count = write_rows(other, (row for row in read_rows(path) if row.number not in numbers))
    other.replace(path)
    return count


if __name__ == "__main__":
    sys.exit(stage.main("dataset", dataset))
