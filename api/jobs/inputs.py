"""What a job learns from and is judged by comes to lie in its `inputs/`: as it was sent, and as rows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from api.datasets.datasets import Dataset, Datasets
from api.datasets.receiving import Upload, Wanted, read_rows_of, receive, require_kind
from api.errors import DatasetUnusable, InvalidOption
from api.runners.linting import lint, refuse
from finetune.data.cells import CUT_AT
from finetune.data.folds import Written, held_out
from finetune.data.rows import FOLDS, Fold
from finetune.job.directory import ROWS, JobDirectory
from finetune.job.spec import DatasetOrigin, FineTuneSpec
from finetune.lint.report import Report

FIELDS: Mapping[Fold, str] = {
    "train": "train_dataset",
    "eval": "eval_dataset",
    "test": "test_dataset",
}
"""The parameter in which the rows of each fold come."""

Given = Mapping[Fold, Upload | str]
"""For each fold a file, or the id of a dataset."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """How many rows each fold will have, and where they came from."""

    counts: Mapping[Fold, int]
    origins: Mapping[Fold, DatasetOrigin]


def take_inputs(given: Given, job: JobDirectory, wanted: Wanted, datasets: Datasets) -> Inputs:
    """Bring everything into a job's folder.

    `errors.DatasetUnusable` and `errors.UnsupportedMediaType` for a file, `errors.NotFound` for an id.
    """
    job.inputs.mkdir(parents=True)
    targets = {fold: job.input_path(fold, ROWS) for fold in FOLDS}
    counts: dict[Fold, int] = {}
    once = 0
    origins: dict[Fold, DatasetOrigin] = {}
    for fold in (one for one in FOLDS if one in given):
        source = given[fold]
        where = FIELDS[fold]
        _require_free(fold, counts)
        one = wanted if fold == "train" else replace(wanted, only=fold)
        if isinstance(source, Upload):
            received = receive(source, job.inputs, fold, where)
            reading, written = read_rows_of(received.path, one, targets, where)
            _tell_cut_cells(job, where, reading.cut)
            origins[fold] = DatasetOrigin(name=source.name, sha256=received.sha256)
        else:
            dataset = datasets.find(_id(source, where))
            origins[fold] = DatasetOrigin(
                id=source, name=dataset.card["name"], sha256=dataset.sha256
            )
            written = _rows_of(dataset, one, where)
            if fold == "train":
                datasets.link_rows(source, targets)
            else:
                datasets.join_rows(source, targets[fold])
        if fold == "train":
            counts, once = dict(written.counts), written.once
        else:
            counts[fold] = sum(written.counts.values())
    for fold, count in held_out(counts, once).items():
        counts[fold] = counts.get(fold, 0) + count
        counts["train"] -= count
    return Inputs(counts, origins)


async def look_at_inputs(job: JobDirectory, spec: FineTuneSpec) -> Report:
    """Have the linter look at what a job has been given. `errors.DatasetUnusable` when it finds errors."""
    paths = {fold: job.input_path(fold, ROWS) for fold in FOLDS}
    report = await lint(
        {fold: path for fold, path in paths.items() if path.is_file()},
        base=(job.path / spec.base_model_folder).resolve(),
        spec=job.spec_path,
    )
    refuse(report, FIELDS)
    return report


def _tell_cut_cells(job: JobDirectory, where: str, rows: list[int]) -> None:
    """A warning of the job; a text that ends early is a text all the same."""
    if rows:
        detail = (
            f"{where}: a text of exactly {CUT_AT:,} characters, where spreadsheets cut a cell. "
            f"Rows: {', '.join(map(str, rows))}."
        )
        job.append_event(
            "dataset", "warning", kind="cut_cell", rows=rows, count=len(rows), detail=detail
        )


def _id(text: str, where: str) -> str:
    if not text.startswith("ds_"):
        raise InvalidOption(
            f"{text[:40]!r} is no dataset's id (ds_...). To send a file write an @ before its name: "
            f"-F {where}=@FILE",
            where=where,
        )
    return text


def _rows_of(dataset: Dataset, wanted: Wanted, where: str) -> Written:
    require_kind(dataset.card["kind"], wanted.kind, where)
    rows: dict[Fold, int] = dataset.card["rows"]
    if sum(rows.values()) > wanted.most_rows:
        raise DatasetUnusable(f"More than {wanted.most_rows} rows.", where=where)
    return Written(rows, dataset.card["occur_once"])


def _require_free(fold: Fold, counts: Mapping[Fold, int]) -> None:
    if counts.get(fold):
        raise DatasetUnusable(
            f"train_dataset has {counts[fold]} rows whose fold is {fold}, and {FIELDS[fold]} is given too. "
            "Send either.",
            where=FIELDS[fold],
        )
