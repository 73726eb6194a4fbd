"""The word index (tantivy): a folder derived from the store, thrown away whenever it is in doubt.

It knows the last change of the store that it has seen; that number is committed together with the words.
"""

import contextlib
import logging
import re
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tantivy import (
    Document,
    FieldType,
    Filter,
    Index,
    Occur,
    Query,
    SchemaBuilder,
    TextAnalyzerBuilder,
    Tokenizer,
)

from api.data_folder.contents import remove_made
from api.errors import ApiError, BackEndFailed, OutOfSpace
from api.index.values import Scored

log = logging.getLogger(__name__)

_MADE = re.compile(r"(\.managed|meta)\.json|\.tantivy-\w+\.lock|[0-9a-f]{32}(\.\d+)?\.\w+")
"""Names that tantivy gives; whatever else lies in the folder is somebody else's."""

HEADING_WEIGHT = 0.1
"""What a word in a chunk's heading or document name counts, against one in its text. Measured on 50 questions
over seven manuals, fused with meaning by halves: 0 and 0.1 .46 nDCG@10, 0.25 and 0.5 .45.
"""
MOST_TERMS = 64
"""A query is read up to this many different words."""
WRITER_BYTES = 50_000_000


class Damaged(BackEndFailed):
    """The folder cannot be read; `LexicalIndex.clear` makes an empty one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The words of one chunk of one document. `owner` is its collection's id; `heading` holds its name as well."""

    chunk_id: int
    document_id: str
    owner: str
    heading: str
    text: str


class LexicalIndex:
    """BM25 over headings and texts with English stemming. One process, one writer at a time."""

    def __init__(self, folder: Path) -> None:
        """Open the folder; one that is damaged or of another layout begins anew."""
        self._folder = folder
        self._writing = threading.Lock()
        self._analyzer = (
            TextAnalyzerBuilder(Tokenizer.simple())
            .filter(Filter.remove_long(40))
            .filter(Filter.lowercase())
            .filter(Filter.stemmer("english"))
            .build()
        )
        self._schema = (
            SchemaBuilder()
            .add_integer_field("chunk", indexed=True, fast=True)
            .add_integer_field("seen", stored=True, indexed=True, fast=True)
            .add_text_field("document", tokenizer_name="raw", index_option="basic")
            .add_text_field("owner", tokenizer_name="raw", index_option="basic")
            .add_text_field("heading", tokenizer_name="en_stem", index_option="freq")
            .add_text_field("text", tokenizer_name="en_stem", index_option="freq")
            .build()
        )
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
                writer.add_document(
                    Document(
                        chunk=entry.chunk_id,
                        document=entry.document_id,
                        owner=entry.owner,
                        heading=entry.heading,
                        text=entry.text,
                    )
                )
            writer.delete_documents_by_query(
                Query.range_query(self._schema, "seen", FieldType.Integer, 0, None)
            )
            writer.add_document(Document(seen=seen))
            writer.commit()
            writer.wait_merging_threads()  # gives the folder's lock back
            self._index.reload()
            self.seen = seen

    def search(
        self,
        query: str,
        limit: int,
        *,
        owners: Sequence[str] | None = None,
        documents: Sequence[str] | None = None,
    ) -> list[Scored]:
        """The chunks that hold words of the query, best first, of some owners or some documents only."""
        terms = list(dict.fromkeys(self._analyzer.analyze(query)))[:MOST_TERMS]
        if not terms or limit < 1:
            return []
        wanted = Query.boolean_query([(Occur.Should, self._term(term)) for term in terms])
        clauses = [(Occur.Must, wanted)]
        for field, values in (("owner", owners), ("document", documents)):
            if values is not None:
                allowed = Query.term_set_query(self._schema, field, list(values))
                clauses.append((Occur.Must, Query.const_score_query(allowed, 0.0)))
        with _damage():
            searcher = self._index.searcher()
            hits = searcher.search(Query.boolean_query(clauses), limit, count=False).hits
            chunks = searcher.fast_field_values("chunk", [address for _, address in hits])
        best: dict[int, Scored] = {}
        for chunk, (score, _) in zip(chunks, hits, strict=True):
            if chunk is not None:  # two of the documents may share it
                best.setdefault(int(chunk), Scored(int(chunk), score))
        return list(best.values())

    def _term(self, term: str) -> Query:
        in_heading = Query.term_query(self._schema, "heading", term, "freq")
        return Query.boolean_query(
            [
                (Occur.Should, Query.term_query(self._schema, "text", term, "freq")),
                (Occur.Should, Query.boost_query(in_heading, HEADING_WEIGHT)),
            ]
        )

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
    if "LockBusy" in text:
        return BackEndFailed("Another process writes to the word index. Stop the other server.")
    return Damaged(f"The word index is damaged: {text}.")
