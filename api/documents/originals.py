"""The files of documents and their rows: a file comes with its document's row, and goes before it."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from api import faults
from api.documents.files import Files, Label
from api.documents.receiving import Received
from api.errors import OutOfSpace
from api.store import Store
from api.store.collections import Collection
from api.store.documents import Added, Document, new_id

log = logging.getLogger(__name__)


def bring(
    store: Store,
    files: Files,
    received: Received,
    collection: Collection,
    embedder: str,
    *,
    replace: bool,
    file_id: str,
) -> Added:
    """Give a received file a row and its place; afterwards it is moved or gone, whatever happens."""
    try:
        with files.guarded.adding():
            added = store.documents.add(
                received.name,
                collection,
                received.sha256,
                received.size_bytes,
                embedder,
                received.kind,
                replace=replace,
                file_id=file_id,
            )
            faults.point("import_row_added")
            if added.is_new:
                _keep(
                    store, files, received.path if added.has_new_content else None, added.document
                )
        return added
    finally:
        received.path.unlink(missing_ok=True)


def _keep(store: Store, files: Files, file: Path | None, document: Document) -> None:
    """Without a file, the one that is there already gets another label."""
    content_id = document.content_id
    try:
        if file is None:
            files.relabel(content_id, files.with_unknown(content_id, _labels(store, content_id)))
        else:
            files.keep(file, content_id, _label(document), document.kind)
            faults.point("import_file_kept")
    except OSError as error:
        if file is not None:
            files.remove(content_id)
        store.documents.remove(document.id)
        raise OutOfSpace(f"The file could not be kept: {error.strerror}.") from error


def release(store: Store, files: Files, document: Document) -> None:
    """Its file goes, unless others have the content too: then the label names those alone."""
    content_id = document.content_id
    others = _labels(store, content_id, but=document.id)
    if left := files.with_unknown(content_id, others, [_label(document)]):
        with contextlib.suppress(OSError):  # a full disk keeps nobody from deleting
            files.relabel(content_id, left)
    else:
        files.remove(content_id)
    if not (document.id == content_id or store.documents.of_content(document.id)):
        files.remove(document.id)  # of before contents were shared


def part(store: Store, files: Files, document: Document, embedder: str) -> Document:
    """Give a document that shares its content one of its own, for another embedding model, with the same file."""
    content_id = new_id()
    with _shared(files, document.content_id, content_id, _label(document)):
        parted = store.documents.give_content(document.id, content_id, embedder)
    release(store, files, document)
    return parted


def stand_beside(
    store: Store, files: Files, document: Document, embedder: str, *, reread: bool
) -> Document:
    """A document beside another one, with a content of its own for another embedding model, and the same file."""
    content_id = new_id()
    label = Label(document.name, document.collection, embedder, document.workspace)
    with _shared(files, document.content_id, content_id, label):
        return store.reembeddings.add_beside(document, content_id, embedder, reread=reread)


@contextlib.contextmanager
def _shared(files: Files, content_id: str, other_id: str, label: Label) -> Iterator[None]:
    """The file of one content as that of another one, which goes again when no row is made for it."""
    with files.guarded.adding():
        try:
            files.share(content_id, other_id, [label])
            yield
        except BaseException:
            files.remove(other_id)
            raise


def set_strays_aside(files: Files) -> None:
    """Files of no document go to `lost/`."""
    for stray in files.unplaced():
        if placed := files.set_aside(stray):
            log.warning("The file %s belongs to no document. It lies in %s.", stray, placed)


def _labels(store: Store, content_id: str, *, but: str = "") -> Sequence[Label]:
    return [_label(one) for one in store.documents.of_content(content_id) if one.id != but]


def _label(document: Document) -> Label:
    embedder, workspace = document.collection_embedder, document.workspace
    return Label(document.name, document.collection, embedder, workspace)
