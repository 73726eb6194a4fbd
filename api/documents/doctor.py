"""Compares database, vectors, words and files, and makes them one again; the database is the truth."""

from pathlib import Path

from anyio.to_thread import run_sync

from api.documents.files import Files
from api.errors import Finding
from api.index import Index
from api.store import Store


async def examine(
    store: Store, index: Index, documents_dir: Path, *, repair: bool
) -> list[Finding]:
    """What is off with documents. Half-done imports are no finding: the next start ends them.

    Not to be called beside uploads in progress.
    """
    off = await (index.repair() if repair else index.findings())
    findings = [Finding(text, repair) for text in off]
    kept = await run_sync(Files(documents_dir).all)
    documents = await run_sync(store.documents.all, "importing", "ready", "deleting")
    for name in sorted(kept.keys() - {one.id for one in documents}):
        if repair:
            await run_sync(kept[name].unlink)
        findings.append(Finding(f"The file {kept[name].name} belongs to no document.", repair))
    for one in documents:
        if one.status == "ready" and one.id not in kept:
            text = f"The file of {one.name!r} ({one.id}) is missing; its text is still searched."
            findings.append(Finding(text, False))
    return findings
