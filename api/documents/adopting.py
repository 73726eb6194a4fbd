"""Imports files, and takes back documents, that are found without a row, as after a database had to begin anew."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from anyio.to_thread import run_sync

from api.data_folder.findings import Finding
from api.documents.files import Files, Label
from api.documents.importing import Importer
from api.documents.receiving import receive
from api.errors import ApiError, NameTaken, UnsupportedMediaType, Unusable
from api.models.bundled import BundledModels
from api.names import FOR_ALL
from api.settings import Settings
from api.store.collections import Collections
from api.store.documents import Document

log = logging.getLogger(__name__)

TOLD = {
    "new": "is imported again as {}",
    "known": "is {}, which is there already",
    "refused": "cannot be imported as {} ({})",
    "waits": "could not be taken back as {} ({})",
}
"""What became of a file, with names and a reason."""


class Outcome(NamedTuple):
    """What became of a file under one of its labels."""

    kind: str
    name: str
    reason: str = ""


async def adopt(
    importer: Importer, collections: Collections, bundled: BundledModels, settings: Settings
) -> list[Finding]:
    """Import each under the names and into the collections that its labels say; its own file goes when that is done.

    One that cannot be imported under each of them is put aside; where that fails for a reason that may pass it stays,
    unrepaired, also when it is imported under others already. Of a file that has a row too, where the folder is ahead
    of the database: it stays where it is.
    """
    found = await run_sync(importer.files.unplaced)
    forgotten = await run_sync(importer.files.forgotten)
    if found or forgotten:
        await bundled.prepare_embedders()  # each import then meets the reason of a failure
    findings = []
    for number, content_id in enumerate(found, 1):
        log.info("Importing file %d of %d.", number, len(found))
        findings.append(await _adopted(importer, collections, content_id, settings.uploads_dir))
    for content_id, labels in forgotten.items():
        outcomes = [
            await _outcome(importer, collections, content_id, label, settings.uploads_dir)
            for label in labels
        ]
        text = f"The file {importer.files.path(content_id).name} {_told(outcomes)}."
        findings.append(Finding(text, all(one.kind != "waits" for one in outcomes)))
    return findings


async def _adopted(
    importer: Importer, collections: Collections, content_id: str, uploads: Path
) -> Finding:
    files = importer.files
    outcomes = [
        await _outcome(importer, collections, content_id, label, uploads)
        for label in await run_sync(files.labels, content_id)
    ]
    kinds = {one.kind for one in outcomes}
    text = f"The file {files.path(content_id).name} {_told(outcomes)}"
    if "waits" in kinds:  # the next time only this is left to do
        return Finding(f"{text}.", False)
    if "refused" in kinds or "new" not in kinds:
        return await _put_aside(files, content_id, text)
    await run_sync(files.remove, content_id)
    return Finding(f"{text}.", True)


async def _outcome(
    importer: Importer, collections: Collections, content_id: str, label: Label, uploads: Path
) -> Outcome:
    try:
        document, is_new = await _imported(importer, collections, content_id, label, uploads)
    except (Unusable, NameTaken, UnsupportedMediaType) as error:
        return Outcome("refused", label.name, error.detail)
    except (ApiError, OSError) as error:
        return Outcome("waits", label.name, str(error))
    return Outcome("new" if is_new else "known", document.name)


async def _imported(
    importer: Importer, collections: Collections, content_id: str, label: Label, uploads: Path
) -> tuple[Document, bool]:
    with importer.files.path(content_id).open("rb") as source:  # a copy: a failure loses nothing
        received = await receive(source, label.name, uploads)
    theirs = collections.of(label.workspace)
    collection = await run_sync(theirs.named, label.collection or FOR_ALL, label.embedder)
    outcome = await importer.import_document(received, collection)
    return outcome.document, outcome.is_new


def _told(outcomes: Sequence[Outcome]) -> str:
    names: dict[tuple[str, str], list[str]] = {}
    for one in outcomes:
        names.setdefault((one.kind, one.reason), []).append(repr(one.name))
    return "; ".join(
        TOLD[kind].format(" and ".join(dict.fromkeys(some)), reason)
        for (kind, reason), some in names.items()
    )


async def _put_aside(files: Files, content_id: str, text: str) -> Finding:
    placed = await run_sync(files.set_aside, content_id)
    return Finding(f"{text}: moved to {placed}." if placed else f"{text}.", placed is not None)
