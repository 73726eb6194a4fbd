"""A PDF comes in: row, file, text, chunks, vectors, words, in this order; each step can be repeated."""

from pathlib import Path

from api.documents.extract import Bounds
from api.index import Index
from api.settings import Settings
from api.store import Store
from api.store.documents import Document


class Importer:
    """Imports documents, several at a time, each in a task of its own that outlives the request."""

    def __init__(
        self,
        store: Store,
        index: Index,
        documents_dir: Path,
        bounds: Bounds,
        *,
        chunk_tokens: int,
        overlap_tokens: int,
    ) -> None: ...

    async def import_document(
        self, file: Path, name: str, model: str, sha256: str, size_bytes: int, *, wait: bool = True
    ) -> tuple[Document, bool]:
        """The document and whether it is new; `model` empty means for all models.

        Takes `file` over: afterwards it is moved or gone, whatever happens. With `wait` the document is ready,
        or the reason is raised and nothing of it is left. Without, it is importing or ready; a failure is kept in
        its row. The same bytes again are the same document. `errors.NameTaken` when other bytes have the name.
        """
        ...

    async def resume(self) -> None:
        """At start, once: go on with half-done imports in the background, sweep files that belong to nothing."""
        ...

    async def stop(self, document_id: str) -> None:
        """Stop working on one document and wait until nothing works on it."""
        ...

    async def close(self) -> None:
        """Stop; what is half done goes on at the next start."""
        ...


def open_importer(settings: Settings, store: Store, index: Index) -> Importer:
    """An importer as the settings say."""
    ...
