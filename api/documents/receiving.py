"""An uploaded file becomes a file of ours: copied in pieces, hashed, and of a kind that is read."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import anyio.to_thread

from api.data_folder.copying import pieces_of, write_hashed
from api.data_folder.leftovers import INCOMING
from api.documents.recognising import kind_of
from api.errors import OutOfSpace
from api.names import valid_document_name

NOT_STORED = "The disk is full: the document was not stored."


@dataclass(frozen=True, slots=True)
class Received:
    """A file under a generated name, with the name its owner gave it."""

    path: Path
    name: str
    sha256: str
    size_bytes: int
    kind: str


async def receive(source: BinaryIO, filename: str, folder: Path) -> Received:
    """Keep an upload below `folder`; `errors.UnsupportedMediaType` when it is of no kind that is read.

    Nothing is left behind when it fails.
    """
    name = valid_document_name(filename)
    return await anyio.to_thread.run_sync(_copy, source, name, folder)


def linked(source: Path, filename: str, sha256: str, folder: Path) -> Received:
    """The same of a file that is kept elsewhere and never changes: a link, where the file system can. Blocking;
    `errors.InvalidName` for its name.
    """
    name = valid_document_name(filename)
    with source.open("rb") as file:
        kind = kind_of(file, name)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{INCOMING}{secrets.token_hex(8)}"
            path.hardlink_to(source)
        except OSError:  # another disk, or one that knows no links
            return _copy(file, name, folder)
    return Received(path, name, sha256, source.stat().st_size, kind)


def _copy(source: BinaryIO, name: str, folder: Path) -> Received:
    kind = kind_of(source, name)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{INCOMING}{secrets.token_hex(8)}"
    try:
        with OutOfSpace.with_detail(NOT_STORED), path.open("xb") as target:
            sha256, size_bytes = write_hashed(pieces_of(source), target)
            target.flush()
            os.fsync(target.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return Received(path, name, sha256, size_bytes, kind)
