"""What a job learns from and is judged by comes to lie in its `inputs/`, read to its end and counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from api.datasets.receiving import Upload, examine, receive
from api.errors import DatasetUnusable
from finetune.data.folds import held_out
from finetune.data.mapping import Kind, Wish
from finetune.data.rows import Fold
from finetune.job.spec import DatasetOrigin

FIELDS: Mapping[Fold, str] = {
    "train": "train_dataset",
    "eval": "eval_dataset",
    "test": "test_dataset",
}
"""The parameter in which the rows of each fold come."""
NAMES: Mapping[Kind, str] = {"chat": "conversations", "preference": "preferences", "text": "texts"}
METHOD_OF: Mapping[Kind, str] = {"chat": "sft", "preference": "dpo", "text": "pretrain"}


@dataclass(frozen=True, slots=True)
class Inputs:
    """How many rows each fold will have, and where they came from."""

    counts: Mapping[Fold, int]
    origins: Mapping[Fold, DatasetOrigin]


def take_inputs(
    given: Mapping[Fold, Upload], folder: Path, wish: Wish, kind: Kind, most_rows: int
) -> Inputs:
    """Bring everything into a folder. `errors.DatasetUnusable` and `errors.UnsupportedMediaType`."""
    folder.mkdir(parents=True)
    counts: dict[Fold, int] = {}
    origins: dict[Fold, DatasetOrigin] = {}
    for fold, upload in given.items():
        where = FIELDS[fold]
        received = receive(upload, folder, fold, where)
        origins[fold] = DatasetOrigin(name=received.name, sha256=received.sha256)
        least = 2 if fold == "train" else 1
        reading = examine(received.path, wish, kind, where, at_least=least, at_most=most_rows)
        _require_kind(reading.kind, kind, where)
        if fold == "train":
            counts = dict(reading.counts)
        elif counts.get(fold):
            raise DatasetUnusable(
                f"The fold column of train_dataset has {counts[fold]} rows for {where}, which is given too. "
                "Send either.",
                where=where,
            )
        else:
            counts[fold] = sum(reading.counts.values())
    for fold, count in held_out(counts, given).items():
        counts[fold] = counts.get(fold, 0) + count
        counts["train"] -= count
    return Inputs(counts, origins)


def _require_kind(found: Kind, wanted: Kind, where: str) -> None:
    if found != wanted:
        raise DatasetUnusable(
            f"The rows are {NAMES[found]}, and method={METHOD_OF[wanted]} learns from {NAMES[wanted]}. "
            f"Use method={METHOD_OF[found]}, or say by `columns` what the columns are.",
            where=where,
        )
