"""A document goes: at once for everyone who asks, then its vectors, words, file and rows, in this order."""

from collections.abc import Sequence

from api.documents.importing import Importer
from api.index import Index
from api.store import Store
from api.store.documents import Document


class Deleter:
    """Deletes documents; what is slow happens behind the answer."""

    def __init__(self, store: Store, index: Index, importer: Importer) -> None: ...

    async def delete_document(self, model: str, name_or_id: str) -> Document:
        """Delete one by name (with or without `.pdf`) or id, also one that failed or is still being imported.

        The model's own, else the one for all models; `errors.DocumentNotFound`.
        """
        ...

    async def delete_all(self, model: str) -> list[Document]:
        """Delete all of the model's own documents; returns them."""
        ...

    async def delete(self, documents: Sequence[Document]) -> None:
        """From now on they are neither listed nor searched, whatever happens; the rest goes on behind."""
        ...

    async def resume(self) -> None:
        """At start, once: finish half-done deletes in the background."""
        ...

    async def settled(self) -> None:
        """Wait until nothing is left to take away."""
        ...

    async def close(self) -> None:
        """Stop; what is half done goes on at the next start."""
        ...
