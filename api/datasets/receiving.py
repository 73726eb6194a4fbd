"""An uploaded dataset becomes a file of ours, named for its format, and, read to its end, files of rows."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from api.data_folder.copying import pieces_of, write_hashed
from api.errors import DatasetUnusable, UnsupportedMediaType
from finetune.data.errors import DatasetError
from finetune.data.folds import Written, write_folds
from finetune.data.mapping import Kind, Wish
from finetune.data.reading import Reading, open_dataset
from finetune.data.rows import Fold, Row
from finetune.data.sniff import sniff

NAMES: Mapping[Kind, str] = {"chat": "conversations", "preference": "preferences", "text": "texts"}
METHOD_OF: Mapping[Kind, str] = {"chat": "sft", "preference": "dpo", "text": "pretrain"}


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that somebody sends, and the name it has there."""

    file: BinaryIO
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """A file of ours, and how many bytes it has."""

    path: Path
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a file is read: `kind` is what its rows must be, and `only` the fold that all of them are for."""

    wish: Wish
    most_rows: int
    kind: Kind | None = None
    only: Fold | None = None


def receive(upload: Upload, folder: Path, stem: str, where: str) -> Received:
    """Copy it to STEM.FORMAT in a folder; `where` is the parameter it came in.

    `errors.UnsupportedMediaType` for what is no table, `errors.DatasetUnusable` for an empty one.
    """
    part = folder / f"{stem}.part"
    with part.open("wb") as file:
        sha256, size_bytes = write_hashed(pieces_of(upload.file), file)
        file.flush()
        os.fsync(file.fileno())
    try:
        format = sniff(part).format
    except DatasetError as error:
        raise refusal(error, where) from error
    path = part.rename(folder / f"{stem}.{format}")
    return Received(path, sha256, size_bytes)


def read_rows_of(
    path: Path, wanted: Wanted, targets: Mapping[Fold, Path], where: str
) -> tuple[Reading, Written]:
    """Write the rows of each fold of a file of ours to its target.

    `errors.DatasetUnusable` with rows, columns and reasons, also for rows of another kind than is wanted.
    """
    try:
        reading = open_dataset(path, wanted.wish, wanted.kind)
        require_kind(reading.kind, wanted.kind, where)
        written = write_folds(_rows(reading, wanted), targets)
    except DatasetError as error:
        raise refusal(error, where) from error
    return reading, written


def _rows(reading: Reading, wanted: Wanted) -> Iterator[tuple[Fold, Row]]:
    if wanted.only is None:
        yield from reading.rows(at_most=wanted.most_rows)
    else:
        for _, row in reading.rows(at_least=0, at_most=wanted.most_rows):
            yield wanted.only, row
        if not reading.counts:
            raise DatasetError("empty", "The file has no rows; at least 1 is needed.")


def require_kind(found: Kind, wanted: Kind | None, where: str) -> None:
    """`errors.DatasetUnusable` for rows that the method does not learn from."""
    if wanted is not None and found != wanted:
        raise DatasetUnusable(
            f"The rows are {NAMES[found]}, and method={METHOD_OF[wanted]} learns from {NAMES[wanted]}. "
            f"Use method={METHOD_OF[found]}, or say by `columns` what the columns are.",
            where=where,
        )


def refusal(error: DatasetError, where: str) -> Exception:
    """What is wrong with a file, as the answer to who sent it."""
    if error.kind in ("no_dataset", "no_reader"):
        return UnsupportedMediaType(error.detail, where=where)
    return DatasetUnusable(error.detail, where=where, errors=error.row_fields(), count=error.count)
