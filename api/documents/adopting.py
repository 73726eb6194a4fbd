"""Imports files that are found without a row, as after a database had to begin anew."""

import contextlib
import logging
from pathlib import Path

from anyio.to_thread import run_sync

from api.documents.files import Files, Label
from api.documents.importing import Importer
from api.documents.receiving import receive
from api.errors import ApiError, Finding, NameTaken, UnsupportedMediaType, Unusable
from api.models.bundled import BundledModels
from api.settings import Settings
from api.store.collections import Collections
from api.store.documents import Document

log = logging.getLogger(__name__)


async def adopt(
    importer: Importer, collections: Collections, bundled: BundledModels, settings: Settings
) -> list[Finding]:
    """Import each under the names and into the collections that its labels say; its own file goes when that is done.

    One that is no usable document is put aside; what fails for a reason that may pass stays, unrepaired.
    """
    found = await run_sync(importer.files.unplaced)
    if found:
        with contextlib.suppress(ApiError, OSError):  # each import then meets the reason
            await bundled.prepare(settings.embedding_model)
    findings = []
    for number, content_id in enumerate(found, 1):
        log.info("Importing file %d of %d.", number, len(found))
        findings.append(await _adopted(importer, collections, content_id, settings.uploads_dir))
    return findings


async def _adopted(
    importer: Importer, collections: Collections, content_id: str, uploads: Path
) -> Finding:
    labels = await run_sync(importer.files.labels, content_id)
    try:
        imported = [
            await _imported(importer, collections, content_id, label, uploads) for label in labels
        ]
    except (Unusable, NameTaken, UnsupportedMediaType) as error:
        return await _put_aside(importer.files, content_id, f"cannot be imported ({error.detail})")
    except (ApiError, OSError) as error:
        return Finding(f"The file {content_id}.pdf could not be taken back: {error}", False)
    names = " and ".join(dict.fromkeys(repr(document.name) for document, _ in imported))
    if not any(is_new for _, is_new in imported):
        return await _put_aside(importer.files, content_id, f"is {names}, which is there already")
    await run_sync(importer.files.remove, content_id)
    return Finding(f"The file {content_id}.pdf is imported again as {names}.", True)


async def _imported(
    importer: Importer, collections: Collections, content_id: str, label: Label, uploads: Path
) -> tuple[Document, bool]:
    collection = await run_sync(collections.of_model, label.collection)
    with importer.files.path(content_id).open("rb") as source:  # a copy: a failure loses nothing
        received = await receive(source, label.name, uploads)
    return await importer.import_document(
        received.path, received.name, collection, received.sha256, received.size_bytes
    )


async def _put_aside(files: Files, content_id: str, why: str) -> Finding:
    placed = await run_sync(files.set_aside, content_id)
    text = f"The file {content_id}.pdf {why}"
    return Finding(f"{text}: moved to {placed}." if placed else f"{text}.", placed is not None)
