"""The pages of imported documents as the rows of a continued pre-training: a text a page, as a file that was sent."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from api.datasets.receiving import Upload
from api.errors import DatasetUnusable, InvalidOption
from api.store import Store
from api.store.document_rows import Document
from finetune.job.spec import DocumentOrigin

ALL = "*"
MOST_IN_MEMORY = 2**22


@dataclass(frozen=True, slots=True)
class PagesOf:
    """Documents by name or id: those that are named, or all; of a collection, or of what a model can be asked about."""

    names: Sequence[str]
    collection: str = ""

    def __bool__(self) -> bool:
        return bool(self.names or self.collection)


@dataclass(frozen=True, slots=True)
class Pages:
    """Their texts, one a page, and which documents they are of."""

    upload: Upload
    documents: list[DocumentOrigin]


def require_texts(asked: PagesOf, method: str, has_rows: bool) -> None:
    """`errors.InvalidOption` for a method that does not learn from texts, or where rows are given too."""
    where = "documents" if asked.names else "collection"
    if method != "pretrain":
        raise InvalidOption(
            f"{where} gives texts, and method={method} learns from other rows. Use method=pretrain.",
            where=where,
        )
    if has_rows:
        raise InvalidOption(f"Send either {where} or train_dataset.", where=where)


def pages_of(store: Store, asked: PagesOf, base_model: str) -> Pages:
    """Read them. `errors.CollectionNotFound`, `DocumentNotFound`, `NotReady` and `DatasetUnusable`."""
    scope = store.collections.scope(base_model, asked.collection)
    everything = not asked.names or ALL in asked.names
    found = (
        store.documents.ready_in(scope)
        if everything
        else store.documents.find(scope, list(asked.names))
    )
    file: IO[bytes] = tempfile.SpooledTemporaryFile(MOST_IN_MEMORY)  # noqa: SIM115  closed with its last reader
    count = sum(_write(store, document, file) for document in found)
    if not count:
        raise DatasetUnusable(
            "No page with text is there: import documents first.",
            where="documents" if asked.names else "collection",
        )
    origins = [DocumentOrigin(id=one.id, name=one.name, sha256=one.sha256) for one in found]
    return Pages(Upload(file, "documents.jsonl"), origins)  # type: ignore[arg-type]


def _write(store: Store, document: Document, file: IO[bytes]) -> int:
    count = 0
    for page in store.contents.pages(document.content_id):
        if page.text.strip():
            row = {"text": page.text}
            file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
            count += 1
    return count
