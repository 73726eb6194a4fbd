"""Bytes that come become a file of ours, some at a time."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO

PIECE_BYTES = 2**20


def pieces_of(file: BinaryIO) -> Iterator[bytes]:
    """All of a file, from its beginning."""
    file.seek(0)
    while piece := file.read(PIECE_BYTES):
        yield piece


def write_hashed(pieces: Iterable[bytes], target: BinaryIO) -> tuple[str, int]:
    """Write them; their SHA-256 in hexadecimal digits, and how many bytes they were."""
    digest, size = hashlib.sha256(), 0
    for piece in pieces:
        digest.update(piece)
        size += target.write(piece)
    return digest.hexdigest(), size
