"""Compares database, vectors, words and files, and makes them one again; the database is the truth."""

from anyio.to_thread import run_sync

from api.data_folder.findings import Finding
from api.documents.files import Files
from api.index import Index
from api.store import Store


async def examine(store: Store, index: Index, files: Files, *, repair: bool) -> list[Finding]:
    """What is off with documents. Half-done imports are no finding: the next start ends them.

    Of files that do not belong to the database nothing is told. Not to be called beside uploads in progress.
    """
    off = await (index.repair() if repair else index.findings())
    findings = [Finding(text, repair) for text in off]
    if files.guarded.note:
        return findings
    return findings + await run_sync(_of_files, store, files, repair)


def _of_files(store: Store, files: Files, repair: bool) -> list[Finding]:
    findings = [_stray(files, one, repair) for one in files.unplaced()]
    for one in store.documents.all("ready"):
        if not files.exists(one.content_id):
            text = f"The file of {one.name!r} ({one.id}) is missing; its text is still searched."
            findings.append(Finding(text, False))
    return findings


def _stray(files: Files, document_id: str, repair: bool) -> Finding:
    name = files.path(document_id).name
    placed = files.set_aside(document_id) if repair else None
    text = f"The file {name} belongs to no document"
    return Finding(f"{text}: moved to {placed}." if placed else f"{text}.", placed is not None)
