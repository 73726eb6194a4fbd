"""An uploaded dataset becomes a file of ours, named for its format, and is read from beginning to end."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from api.errors import DatasetUnusable, UnsupportedMediaType
from finetune.data.errors import DatasetError
from finetune.data.mapping import Kind, Wish
from finetune.data.reading import Reading, check_dataset
from finetune.data.sniff import sniff

COPY_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that somebody sends, and the name it has there."""

    file: BinaryIO
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """A file of ours."""

    path: Path
    sha256: str
    name: str | None


def receive(upload: Upload, folder: Path, stem: str, where: str) -> Received:
    """Copy it to STEM.FORMAT in a folder; `where` is the parameter it came in.

    `errors.UnsupportedMediaType` for what is no table, `errors.DatasetUnusable` for an empty one.
    """
    digest, part = hashlib.sha256(), folder / f"{stem}.part"
    upload.file.seek(0)
    with part.open("wb") as file:
        while piece := upload.file.read(COPY_BYTES):
            digest.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    try:
        format = sniff(part).format
    except DatasetError as error:
        raise refusal(error, where) from error
    return Received(part.rename(folder / f"{stem}.{format}"), digest.hexdigest(), upload.name)


def examine(
    path: Path, wish: Wish, kind: Kind | None, where: str, *, at_least: int, at_most: int
) -> Reading:
    """Read a file of ours to its end. `errors.DatasetUnusable` with rows, columns and reasons."""
    try:
        return check_dataset(path, wish, kind, at_least=at_least, at_most=at_most)
    except DatasetError as error:
        raise refusal(error, where) from error


def refusal(error: DatasetError, where: str) -> Exception:
    """What is wrong with a file, as the answer to who sent it."""
    if error.kind in ("no_dataset", "no_reader"):
        return UnsupportedMediaType(error.detail, where=where)
    return DatasetUnusable(error.detail, where=where, errors=error.row_fields(), count=error.count)
