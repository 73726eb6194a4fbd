"""Imports files that are found without a row, as after a database had to begin anew."""

import contextlib
import logging
from pathlib import Path

from anyio.to_thread import run_sync

from api.documents.files import Files
from api.documents.importing import Importer
from api.documents.receiving import receive
from api.errors import ApiError, Finding, NameTaken, UnsupportedMediaType, Unusable
from api.models.bundled import BundledModels
from api.settings import Settings

log = logging.getLogger(__name__)


async def adopt(importer: Importer, bundled: BundledModels, settings: Settings) -> list[Finding]:
    """Import each under the name and for the model that its label says; its own file goes when that is done.

    One that is no usable document is put aside; what fails for a reason that may pass stays, unrepaired.
    """
    found = await run_sync(importer.files.unplaced)
    if found:
        with contextlib.suppress(
            ApiError, OSError
        ):  # it keeps the reason, which each import then meets
            await bundled.prepare(settings.embedding_model)
    findings = []
    for number, document_id in enumerate(found, 1):
        log.info("Importing file %d of %d.", number, len(found))
        findings.append(await _adopted(importer, document_id, settings.uploads_dir))
    return findings


async def _adopted(importer: Importer, document_id: str, uploads: Path) -> Finding:
    files = importer.files
    label = await run_sync(files.label, document_id)
    try:
        with files.path(document_id).open(
            "rb"
        ) as source:  # a copy is imported: a failure loses nothing
            received = await receive(source, label.name, uploads)
        document, is_new = await importer.import_document(
            received.path, received.name, label.model, received.sha256, received.size_bytes
        )
    except (Unusable, NameTaken, UnsupportedMediaType) as error:
        return await _put_aside(files, document_id, f"cannot be imported ({error.detail})")
    except (ApiError, OSError) as error:
        return Finding(f"The file {document_id}.pdf could not be taken back: {error}", False)
    if not is_new:
        return await _put_aside(files, document_id, f"is {document.name!r}, which is there already")
    await run_sync(files.remove, document_id)
    return Finding(f"The file {document_id}.pdf is imported again as {document.name!r}.", True)


async def _put_aside(files: Files, document_id: str, why: str) -> Finding:
    placed = await run_sync(files.set_aside, document_id)
    text = f"The file {document_id}.pdf {why}"
    return Finding(f"{text}: moved to {placed}." if placed else f"{text}.", placed is not None)
