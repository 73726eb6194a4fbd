"""Many documents by one request: each comes to its own end, and what became of it is told in the order they came in."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

import anyio
from anyio.to_thread import run_sync

from api.documents.archives import Archive, is_archive
from api.documents.collections import CollectionCatalog, Imported, Owner
from api.documents.receiving import NOT_STORED
from api.errors import ApiError, Conflict, OutOfSpace, Unusable
from api.names import document_key

log = logging.getLogger(__name__)

AT_ONCE = 4
"""Imported side by side; as many lie unpacked on the disk."""
MOST = 1000
"""Documents of one request, those in ZIP files counted."""

File = tuple[str, Callable[[], BinaryIO] | ApiError]
"""Its name, and what opens it, or why nothing can."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file: the document, or why there is none."""

    file: str
    result: Imported | ApiError


async def import_many(
    catalog: CollectionCatalog,
    owner: Owner,
    files: Sequence[tuple[BinaryIO, str]],
    *,
    wait: bool,
    replace: bool,
    most_bytes: int,
) -> list[Outcome]:
    """Import each file, and each in those that are ZIP files of documents.

    `errors.ApiError` for what keeps all of them from coming; what is wrong with one stands in its outcome.
    """
    await catalog.require_place(owner)
    results: dict[int, Imported | ApiError] = {}
    at_once = anyio.Semaphore(AT_ONCE)

    async def bring(at: int, name: str, open: Callable[[], BinaryIO]) -> None:
        try:
            file = await run_sync(open)
            with file:
                results[at] = await catalog.import_document(
                    owner, file, name, wait=wait, replace=replace
                )
        except Exception as error:
            results[at] = _told(error, name)
        finally:
            at_once.release()

    with ExitStack() as stack:
        found = await run_sync(lambda: list(_all(files, most_bytes, stack)))
        if replace:
            found = list(_each_name_once(found))
        async with anyio.create_task_group() as group:
            for at, (name, open) in enumerate(found):
                if isinstance(open, ApiError):
                    results[at] = open
                    continue
                await at_once.acquire()
                group.start_soon(bring, at, name, open)
    return [Outcome(name, results[at]) for at, (name, _) in enumerate(found)]


def _all(
    files: Sequence[tuple[BinaryIO, str]], most_bytes: int, stack: ExitStack
) -> Iterator[File]:
    """Every document, those in ZIP files by their names there; `errors.TooLarge` for too many, or too much."""
    left = MOST
    for file, name in files:
        try:
            inside = _inside(file, name, left, most_bytes, stack)
        except Exception as error:
            yield name, _told(error, name)
            continue
        left -= len(inside)
        yield from inside


def _each_name_once(files: Iterable[File]) -> Iterator[File]:
    """Where a file takes the place of what has its name, a second one would of the first."""
    named: dict[str, str] = {}
    for name, open in files:
        key = document_key(name.replace("\\", "/").rpartition("/")[2])
        if isinstance(open, ApiError):
            yield name, open
        elif key in named:
            said = f"Two files of this request have this name: the other is {named[key]!r}. Rename one."
            yield name, Conflict(said)
        else:
            named[key] = name
            yield name, open


def _inside(file: BinaryIO, name: str, most: int, most_bytes: int, stack: ExitStack) -> list[File]:
    if not is_archive(file, name):
        return [(name, lambda: file)]
    archive = Archive(file, most, most_bytes)
    stack.callback(archive.close)
    if not archive.entries:
        raise Unusable("There is no document in the ZIP file.")
    return [(one.name, partial(archive.open, one)) for one in archive.entries]


def _told(error: Exception, name: str) -> ApiError:
    if isinstance(error, ApiError):
        return error
    if OutOfSpace.is_behind(error):
        return OutOfSpace(NOT_STORED)
    log.error("Importing %r failed", name, exc_info=error)
    return ApiError("The import failed inside the service; its log says more.")
