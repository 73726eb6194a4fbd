"""What embeds each collection, for the doctor: whether it is there, and how far embedding anew has come."""

from collections.abc import Container

from anyio.to_thread import run_sync

from api.data_folder.findings import Examined, Finding
from api.index import Index
from api.index.embeddings import parts_of
from api.names import model_key
from api.runtime import ModelRuntime
from api.store import Store
from api.store.collections import Collection, Scope
from api.store.documents import Document

_BRING_BACK = "Bring the model that made its vectors back under that name"


async def examine(
    store: Store, index: Index, runtime: ModelRuntime, coming: Container[str]
) -> Examined:
    """A line for each collection: a finding where its embedding model is missing or is another one, else a note.

    Models that the next start makes ready are `coming`, by their names.
    """
    models = await runtime.models()
    there = {model_key(one.name) for one in models if "embed" in one.capabilities}
    examined = Examined([], [])
    for collection in await run_sync(store.collections.page, None):
        ready = await run_sync(store.documents.ready_in, Scope("", (collection,)))
        embedder = index.embedder_of(collection)
        if model_key(embedder.model) in there:
            off, state = _made_by_others(ready, await embedder.digest()), "which is there"
        else:
            is_coming = embedder.model in coming
            off, state = "" if is_coming else "which is missing", "which the next start makes ready"
        documents = f"{len(ready)} document{'' if len(ready) == 1 else 's'}"
        text = f"Collection {collection.name!r}, {documents}: embedded by {embedder.model}, "
        anew = await run_sync(_anew, store, collection)
        if off:
            text += f"{off}. {_BRING_BACK}, or embed anew: {_embed(collection)}.{anew}"
            examined.findings.append(Finding(text, False))
        else:
            examined.notes.append(f"{text}{state}.{anew}")
    return examined


def _made_by_others(ready: list[Document], digest: str) -> str:
    """The same name, and other weights than made the vectors; empty when that is not so or cannot be told."""
    others = {one.embedder for one in ready if parts_of(one.embedder)[2] not in ("", digest)}
    return f"now {digest}, not {', '.join(sorted(others))}" if digest and others else ""


def _anew(store: Store, collection: Collection) -> str:
    """How embedding it anew stands, unless it was never begun or has switched."""
    begun = store.reembeddings.find([collection.id]).get(collection.id)
    if begun is None or begun.status == "ready":
        return ""
    done, total = store.reembeddings.progress(begun)
    why = f": {begun.error['detail']}" if begun.error else "."
    text = f" Embedding it anew by {begun.embedder}, {done} of {total} done,"
    if begun.status == "running":
        return f"{text} goes on at the next start{why}"
    return f"{text} failed{why} {_embed(collection)} goes on with it, DELETE gives it up."


def _embed(collection: Collection) -> str:
    return f"`POST /collections/{collection.name}/embed`"
