"""Bytes to pages, in a child process with limits: a hostile file ends its child, never the service."""

from dataclasses import dataclass
from pathlib import Path

from api.store.documents import Page


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the parser of one document may use and return."""

    pages: int
    characters: int
    seconds: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Extracted:
    """The text of a document; `unreadable` are the numbers of pages that failed."""

    title: str
    pages: tuple[Page, ...]
    unreadable: tuple[int, ...]


async def extract(file: Path, bounds: Bounds) -> Extracted:
    """Read a PDF; `errors.DocumentUnusable` says why it cannot be used."""
    ...
