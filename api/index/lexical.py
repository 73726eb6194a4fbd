"""The word index (tantivy): a folder derived from the store, thrown away whenever it is in doubt.

It knows the last change of the store that it has seen; that number is committed together with the words.
"""

import contextlib
import logging
import re
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tantivy import Document, FieldType, Index, Occur, Query, Schema, SchemaBuilder

from api.data_folder.contents import remove_made
from api.errors import ApiError, BackEndFailed, OutOfSpace
from api.index.asked import WEIGHTS, Asked
from api.index.values import Scored
from api.index.words import Terms, groups_of, terms_of

log = logging.getLogger(__name__)

_MADE = re.compile(r"(\.managed|meta)\.json|\.tantivy-\w+\.lock|[0-9a-f]{32}(\.\d+)?\.\w+")
"""Names that tantivy gives; whatever else lies in the folder is somebody else's."""

ANALYSIS = 2
"""Goes up when `words` cuts a text in another way: an index that was made in the earlier one is made again."""
WRITER_BYTES = 50_000_000


class Damaged(BackEndFailed):
    """The folder cannot be read; `LexicalIndex.clear` makes an empty one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The words of one chunk of one document. `owner` is its collection's id; `name` and `title` are the document's,
    and `language` is ISO 639-1, empty when it is not known.
    """

    chunk_id: int
    document_id: str
    owner: str
    heading: str
    text: str
    title: str = ""
    name: str = ""
    language: str = ""


class LexicalIndex:
    """BM25 over texts, headings, titles and names, in every language. One process, one writer at a time."""

    def __init__(self, folder: Path) -> None:
        """Open the folder; one that is damaged or of another layout begins anew."""
        self._folder = folder
        self._writing = threading.Lock()
        self._terms: dict[str, Terms] = {}
        self._schema = _schema()
        try:
            self._open()
        except Damaged as error:
            log.warning("%s It is made again.", error)
            self.clear()

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with _damage():
            self._index = Index(self._schema, path=str(self._folder))
            self.seen = self._read_seen()

    def _read_seen(self) -> int:
        searcher = self._index.searcher()
        query = Query.range_query(self._schema, "seen", FieldType.Integer, 0, None)
        hits = searcher.search(query, 1).hits
        return int(searcher.doc(hits[0][1])["seen"][0]) if hits else 0

    def clear(self) -> None:
        """Begin anew with nothing."""
        with self._writing:
            remove_made(self._folder, _MADE)
            self._open()

    def follow(self, seen: int, gone: Iterable[str], come: Iterable[Entry]) -> None:
        """Take documents out, put entries in and remember the change number, all or nothing."""
        with self._writing, _damage():
            writer = self._index.writer(WRITER_BYTES, num_threads=1)
            for document_id in gone:
                writer.delete_documents_by_query(
                    Query.term_query(self._schema, "document", document_id, "basic")
                )
            for entry in come:
                writer.add_document(self._document(entry))
            writer.delete_documents_by_query(
                Query.range_query(self._schema, "seen", FieldType.Integer, 0, None)
            )
            writer.add_document(Document(seen=seen))
            writer.commit()
            writer.wait_merging_threads()  # gives the folder's lock back
            self._index.reload()
            self.seen = seen

    def _document(self, entry: Entry) -> Document:
        words = {
            field: terms_of(getattr(entry, field), entry.language, self._terms) for field in WEIGHTS
        }
        return Document(
            chunk=entry.chunk_id,
            document=entry.document_id,
            owner=entry.owner,
            group=sorted(groups_of(entry.language)),
            **words,
        )

    def search(
        self,
        query: str,
        limit: int,
        *,
        related: str = "",
        owners: Sequence[str] | None = None,
        documents: Sequence[str] | None = None,
        weights: Mapping[str, float] = WEIGHTS,
    ) -> list[Scored]:
        """The chunks that hold words of the query, best first, of some owners or some documents only. `related` words
        count less, and find nothing where no word of the query occurs.
        """
        with _damage():
            searcher = self._index.searcher()
            asked = Asked(self._schema, searcher, query, weights, related)
            if not asked.is_known or limit < 1:
                return []
            clauses = [(Occur.Must, asked.scored())]
            for field, values in (("owner", owners), ("document", documents)):
                if values is not None:
                    allowed = Query.term_set_query(self._schema, field, list(values))
                    clauses.append((Occur.Must, Query.const_score_query(allowed, 0.0)))
            hits = searcher.search(Query.boolean_query(clauses), limit, count=False).hits
            chunks = searcher.fast_field_values("chunk", [address for _, address in hits])
            best: dict[int, float] = {}
            for chunk, (score, _) in zip(chunks, hits, strict=True):
                if chunk is not None:  # two of the documents may share it
                    best.setdefault(int(chunk), score)
            coverage = asked.coverage(list(best))
        return [Scored(chunk, score, coverage.get(chunk, 0.0)) for chunk, score in best.items()]

    def ids(self) -> set[int]:
        """Every chunk that is in it."""
        return set(self.counts())

    def counts(self) -> Counter[int]:
        """Every chunk that is in it, and under how many documents."""
        with _damage():
            searcher = self._index.searcher()
            if not searcher.num_docs:
                return Counter()
            hits = searcher.search(Query.exists_query("chunk"), searcher.num_docs).hits
            chunks = searcher.fast_field_values("chunk", [address for _, address in hits])
        return Counter(int(chunk) for chunk in chunks if chunk is not None)


def _schema() -> Schema:
    builder = (
        SchemaBuilder()
        .add_integer_field("chunk", indexed=True, fast=True)
        .add_integer_field("seen", stored=True, indexed=True, fast=True)
        .add_integer_field(f"analysis_{ANALYSIS}")
        .add_text_field("document", tokenizer_name="raw", index_option="basic")
        .add_text_field("owner", tokenizer_name="raw", index_option="basic")
        .add_text_field("group", tokenizer_name="raw", index_option="basic")
    )
    for field in WEIGHTS:
        builder = builder.add_text_field(field, tokenizer_name="whitespace", index_option="freq")
    return builder.build()


@contextlib.contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except ApiError:
        raise
    except ValueError as error:
        raise _meaning(error) from error
    except BaseException as error:
        # a panic of the native library is no Exception
        if type(error).__name__ != "PanicException":
            raise
        raise Damaged(f"The word index is damaged: {error}.") from error


def _meaning(error: ValueError) -> Exception:
    text = str(error)
    if "No space left" in text or "StorageFull" in text:
        return OutOfSpace("The disk is full: the word index could not be written. Free some space.")
    if "schema does not match" in text:
        return Damaged("The word index was made by another version.")
    if "LockBusy" in text:
        return BackEndFailed("Another process writes to the word index. Stop the other server.")
    return Damaged(f"The word index is damaged: {text}.")
