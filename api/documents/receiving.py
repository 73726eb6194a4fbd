"""An uploaded file becomes a file of ours: copied in pieces, hashed, and a PDF by its first bytes."""

import errno
import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import anyio.to_thread

from api.data_folder.leftovers import INCOMING
from api.errors import OutOfSpace, UnsupportedMediaType
from api.names import valid_document_name

PIECE_BYTES = 2**20
MAGIC_WITHIN_BYTES = 1024
"""Readers accept the `%PDF-` mark anywhere in the first 1,024 bytes (PDF 1.7, implementation note 13)."""


@dataclass(frozen=True, slots=True)
class Received:
    """A file under a generated name, with the name its owner gave it."""

    path: Path
    name: str
    sha256: str
    size_bytes: int


async def receive(source: BinaryIO, filename: str, folder: Path) -> Received:
    """Keep an upload below `folder`; `errors.UnsupportedMediaType` when it is no PDF.

    Nothing is left behind when it fails.
    """
    name = valid_document_name(filename)
    return await anyio.to_thread.run_sync(_copy, source, name, folder)


def _copy(source: BinaryIO, name: str, folder: Path) -> Received:
    source.seek(0)
    first = source.read(MAGIC_WITHIN_BYTES)
    if b"%PDF-" not in first:
        raise UnsupportedMediaType(f"{name!r} is not a PDF: its first bytes do not say %PDF-.")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{INCOMING}{secrets.token_hex(8)}"
    digest = hashlib.sha256()
    size = 0
    try:
        with path.open("xb") as target:
            piece = first
            while piece:
                digest.update(piece)
                size += target.write(piece)
                piece = source.read(PIECE_BYTES)
            target.flush()
            os.fsync(target.fileno())
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise OutOfSpace("The disk is full: the document was not stored.") from error
        raise
    return Received(path, name, digest.hexdigest(), size)
