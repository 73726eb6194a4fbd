"""VectorStore over Chroma: one class for the embedded client and for a server.

Embeddings are always passed in. An embedded folder is derived from the store: one that cannot be opened is
thrown away, and `Index.repair` fills it again.
"""

import contextlib
import logging
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID

import chromadb
from chromadb.api import ClientAPI
from chromadb.api.shared_system_client import SharedSystemClient
from chromadb.config import Settings
from chromadb.errors import InvalidArgumentError, NotFoundError

from api import child_process
from api.data_folder.contents import remove_made
from api.errors import ApiError, BackEndFailed, EmbeddingMismatch, OutOfSpace, Unavailable
from api.index.embeddings import Vectors
from api.index.values import Scored, VectorSet

log = logging.getLogger(__name__)

_MADE = re.compile(r"chroma\.sqlite3(-\w+)?|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Names that chromadb gives; whatever else lies in the folder is somebody else's."""

BATCH = 2000
SEARCH_WIDTH = 200
"""Neighbours that the graph search looks at; the more, the surer the best are found."""
PROBE_SECONDS = 300


class ChromaVectors:
    """Vectors in Chroma, nearest by cosine."""

    def __init__(self, client: ClientAPI, *, in_use: Path | None = None) -> None:
        """`in_use` is a file that goes at a clean stop, when nothing has failed."""
        self._client = client
        self._in_use = in_use
        self._has_failed = False
        self._known: dict[str, UUID] = {}

    def put(self, where: VectorSet, ids: Sequence[int], vectors: Vectors) -> None:
        """Keep vectors; an id that is there keeps what it has.

        Never by `upsert`: a second one of the same id leaves, when the log is read again, one in a hundred small sets
        with a vector that no search comes to (chromadb 1.x).
        """
        with self._translated(where):
            found = self._client.get_or_create_collection(
                where.name,
                configuration={"hnsw": {"space": "cosine", "ef_search": SEARCH_WIDTH}},
                metadata={"collection": where.collection, "embedder": where.embedder},
                embedding_function=None,
            )
            self._require_kept(where, found.id)
            for start in range(0, len(ids), BATCH):
                some = slice(start, start + BATCH)
                found.add(ids=[str(one) for one in ids[some]], embeddings=vectors[some])

    def query(self, where: VectorSet, vectors: Vectors, limit: int) -> list[list[Scored]]:
        """For each vector the nearest by cosine, best first; an unknown set is empty."""
        with self._translated(where):
            found = self._find(where)
            if found is None:
                return [[] for _ in vectors]
            answer = found.query(query_embeddings=vectors, n_results=limit, include=["distances"])
        return [
            [Scored(int(one), 1.0 - distance) for one, distance in zip(ids, distances, strict=True)]
            for ids, distances in zip(answer["ids"], answer["distances"] or [], strict=True)
        ]

    def delete(self, where: VectorSet, ids: Sequence[int]) -> None:
        """Take vectors out; unknown ids and sets are no error."""
        with self._translated(where):
            if (found := self._find(where)) is None:
                return
            for start in range(0, len(ids), BATCH):
                found.delete(ids=[str(one) for one in ids[start : start + BATCH]])

    def drop(self, where: VectorSet) -> None:
        """Take a whole set out; an unknown one is no error."""
        self._known.pop(where.name, None)
        with self._translated(where), contextlib.suppress(NotFoundError):
            self._client.delete_collection(where.name)

    def ids(self, where: VectorSet) -> set[int]:
        """Everything that is in a set."""
        with self._translated(where):
            found = self._find(where)
            return {int(one) for one in found.get(include=[])["ids"]} if found else set()

    def sets(self) -> set[VectorSet]:
        """Every set there is."""
        with self._translated():
            metadata = [one.metadata or {} for one in self._client.list_collections()]
        return {
            VectorSet(str(one.get("collection", one.get("model"))), str(one["embedder"]))
            for one in metadata
            if "embedder" in one  # with a model: made by an earlier version, and filled anew
        }

    def check(self) -> None:
        """Raise when it cannot serve."""
        with self._translated():
            self._client.heartbeat()

    def close(self) -> None:
        """Give everything back."""
        self._client.close()  # type: ignore[attr-defined]  # missing in chromadb's ClientAPI
        if self._in_use and not self._has_failed:
            self._in_use.unlink(missing_ok=True)

    def _find(self, where: VectorSet) -> chromadb.Collection | None:
        try:
            found = self._client.get_collection(where.name, embedding_function=None)
        except NotFoundError:
            found = None
        self._require_kept(where, found.id if found else None)
        return found

    def _require_kept(self, where: VectorSet, found: UUID | None) -> None:
        """A collection that is gone, or has another id than before, was lost by a server that began anew."""
        if found != self._known.get(where.name, found):
            self._known.clear()  # the others went with it
            raise Unavailable("The vector store has lost vectors that it had.")
        if found is not None:
            self._known[where.name] = found

    @contextlib.contextmanager
    def _translated(self, where: VectorSet | None = None) -> Iterator[None]:
        try:
            yield
        except ApiError:
            raise
        except Exception as error:
            meaning = _meaning(error, where)
            self._has_failed |= isinstance(meaning, BackEndFailed)
            raise meaning from error
        except BaseException as error:
            # a panic of the native library is no Exception
            if type(error).__name__ != "PanicException":
                raise
            self._has_failed = True
            raise BackEndFailed(f"The vector store failed: {error}.") from error


def _meaning(error: Exception, where: VectorSet | None) -> ApiError:
    text = str(error)
    if isinstance(error, InvalidArgumentError) and "dimension" in text:
        name = where.embedder if where else "another embedding model"
        return EmbeddingMismatch(
            f"The vectors were made by {name}: {text}. Set LLM_FASTAPI_EMBEDDING_MODEL back to that "
            "model, or embed the collection anew: POST /collections/NAME/embed."
        )
    if "disk is full" in text or "No space left" in text:
        return OutOfSpace("The disk is full: the vectors could not be written. Free some space.")
    if isinstance(error, NotFoundError):
        return Unavailable(f"The vector store has lost vectors that it had: {text}.")
    if isinstance(error, OSError) or "connect" in text.lower():
        return Unavailable(f"The vector store cannot be reached: {text}")
    return BackEndFailed(f"The vector store failed: {text}")


def client_settings() -> Settings:
    """What every client is opened with: nothing is sent home, nothing can be reset."""
    return Settings(anonymized_telemetry=False, allow_reset=False)


def open_embedded(folder: Path) -> ChromaVectors:
    """Open a folder, after an unclean stop first in a child process; one that is damaged begins anew."""
    in_use = folder.with_name(f"{folder.name}.in_use")
    if in_use.exists() and folder.exists() and (problem := _probe(folder)):
        _throw_away(folder, problem)
    folder.parent.mkdir(parents=True, exist_ok=True)
    in_use.touch()
    try:
        client = chromadb.PersistentClient(folder, settings=client_settings())
    except Exception as error:
        _throw_away(folder, str(error))
        SharedSystemClient.clear_system_cache()  # it holds on to what failed to open
        client = chromadb.PersistentClient(folder, settings=client_settings())
    return ChromaVectors(client, in_use=in_use)


def _throw_away(folder: Path, problem: str) -> None:
    log.warning("The vector index is damaged and is made again from the database: %s", problem)
    remove_made(folder, _MADE)


def _probe(folder: Path) -> str:
    """What is wrong with a folder, empty when it can be opened."""
    command = [sys.executable, "-I", str(Path(__file__).with_name("probe.py")), str(folder)]
    try:
        ended = child_process.run(command, env=child_process.NOTHING, seconds=PROBE_SECONDS)
    except TimeoutError:
        return f"opening it took more than {PROBE_SECONDS} s"
    if ended.returncode == 0:
        return ""
    lines = ended.stderr.decode(errors="replace").strip().splitlines()
    return f"a process that opened it ended with {ended.returncode} {lines[-1] if lines else ''}"
