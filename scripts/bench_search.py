"""How long a whole search takes without a chat call: both halves asked, fused, and the passages read from the store.

    .venv/bin/python scripts/bench_search.py [--folder DIR] [--beside PAGES] [CHUNKS ...]

Makes collections of 1,000, 10,000 and 100,000 chunks (a hundred a document, 160 words each that are as unevenly
frequent as those of a language, and vectors of 384 dimensions in clusters) and prints milliseconds of a search over all
of a collection, over one and over twenty listed documents, and the memory of the process. Questions are words of a
chunk between common ones; their vectors stand near its own and are known beforehand: embedding one is not in these
figures.
With `--folder` what was made is kept for the next run, whose memory is then that of searching alone.

With `--beside`, the real service is asked meanwhile it imports a PDF of so many pages, and before: these searches embed
their question and go over HTTP.
"""

import argparse
import asyncio
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import httpx2
import numpy as np
import numpy.typing as npt
from bench_import import made_up
from bench_servers import processor, service
from sqlalchemy import insert

from api.index import Index, VectorSet
from api.index.chroma import open_embedded
from api.index.embeddings import Embedder
from api.index.lexical import LexicalIndex
from api.rag.retrieve import hits, pages
from api.store import Store, open_store
from api.store.chunks import Chunk
from api.store.documents import Document
from api.store.tables import contents, documents

DIMENSION, A_DOCUMENT, WORDS_A_CHUNK, VOCABULARY = 384, 100, 160, 60_000
LISTED = 20
LIMIT = 10
WEIGHT = 0.5
QUESTIONS = 200
VERSION = f"bench:{DIMENSION}@0"
COMMON = 60
"""Words so frequent that a question has them whatever it asks."""
SYLLABLES = [first + vowel for first in "bdfgklmnprstvz" for vowel in "aeiou"]

Floats = npt.NDArray[np.float32]


def main() -> None:
    """Print the table, a size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("chunks", nargs="*", type=int, default=[1_000, 10_000, 100_000])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--beside", type=int, metavar="PAGES")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        asyncio.run(measure(options.folder, options.chunks[0]))
        return
    if options.beside:
        beside_an_import(options.beside)
        return
    print(
        f"{processor()}; {QUESTIONS} questions, milliseconds p50 / p95, the best {LIMIT}; of CPU in brackets"
    )
    print(f"{'chunks':>8} {'all':>26} {'one document':>26} {f'{LISTED} documents':>26} {'MiB':>6}")
    with tempfile.TemporaryDirectory() as temporary:
        for count in options.chunks:
            folder = (options.folder or Path(temporary)) / str(count)
            command = [sys.executable, __file__, "--measure", "--folder", str(folder), str(count)]
            subprocess.run(command, check=True)


class KnownVectors(Embedder):
    """In the place of an embedding model: the vectors of its questions are known."""

    def __init__(self, vectors: dict[str, Floats]) -> None:
        super().__init__(cast(Any, None), "bench")
        self._vectors = vectors

    def used(self, query: str | None, passage: str | None) -> Embedder:  # noqa: ARG002
        """With whatever templates."""
        return self

    async def version(self) -> str:
        """What they are kept under."""
        return VERSION

    async def embed_queries(self, texts: Sequence[str]) -> tuple[Floats, str]:
        """No time is spent on it."""
        return np.stack([self._vectors[one] for one in texts]), VERSION


def words() -> list[str]:
    """Made-up words, the frequent ones short."""
    chance = random.Random(0)
    made: dict[str, None] = {}
    while len(made) < VOCABULARY:
        longest = 1 + len(made).bit_length() // 4
        made["".join(chance.choices(SYLLABLES, k=chance.randint(1, longest)))] = None
    return list(made)


def texts(count: int) -> Iterator[str]:
    """Chunks: Zipf's law over all words, and a few words that a document has more of than others."""
    vocabulary, chance = words(), np.random.default_rng(2)
    shares = 1 / np.arange(1, VOCABULARY + 1)
    bounds = np.cumsum(shares / shares.sum())
    for number in range(count):
        if number % A_DOCUMENT == 0:
            topic = chance.integers(COMMON, VOCABULARY, size=40)
        drawn = np.searchsorted(bounds, chance.random(WORDS_A_CHUNK - 20))
        chosen = [*drawn.clip(max=VOCABULARY - 1), *chance.choice(topic, size=20)]
        yield " ".join(vocabulary[int(one)] for one in chosen)


def vectors(number: int) -> Floats:
    """Those of a document: around a centre of their own."""
    chance = np.random.default_rng(number)
    around = chance.normal(size=DIMENSION) + 0.7 * chance.normal(size=(A_DOCUMENT, DIMENSION))
    return (around / np.linalg.norm(around, axis=1, keepdims=True)).astype(np.float32)


def make(folder: Path, store: Store, count: int) -> None:
    """A collection of so many chunks, as imports leave it."""
    collection = store.collections.create("bench")
    index, where = open_embedded(folder / "chroma"), VectorSet(collection.id, VERSION)
    written = texts(count)
    for number in range(count // A_DOCUMENT):
        name = f"doc_{number:016x}"
        row = {"id": name, "collection_id": collection.id, "content_id": name, "created_at": ""}
        row |= {"name": f"Report {number}.pdf", "name_key": name, "embedder": VERSION}
        with store.database.write() as connection:
            connection.execute(
                insert(contents).values(id=name, sha256=name, size_bytes=1, language="en")
            )
            connection.execute(insert(documents).values(**row, status="importing"))
        some = [
            Chunk(at, 1 + at // 3, "", next(written), WORDS_A_CHUNK) for at in range(A_DOCUMENT)
        ]
        ids = store.chunks.add(name, some, vectors(number), VERSION, 1)
        index.put(where, ids, vectors(number))
        store.documents.mark_ready(name)
    index.close()


def asked(store: Store, chosen: Sequence[Document]) -> dict[str, Floats]:
    """Questions about chunks here and there, with their vectors."""
    chance, common = random.Random(3), words()[:COMMON]
    found: dict[str, Floats] = {}
    for _ in range(QUESTIONS):
        document = chance.choice(chosen)
        at = chance.randrange(A_DOCUMENT)
        text = store.chunks.texts(document.content_id)[at][2].split()
        query = " ".join(chance.sample(text, 5) + chance.choices(common, k=5))
        vector = vectors(int(document.id.removeprefix("doc_"), 16))[at]
        near = vector + 0.03 * np.random.default_rng(at).normal(size=DIMENSION)
        found[query] = (near / np.linalg.norm(near)).astype(np.float32)
    return found


async def measure(folder: Path, count: int) -> None:
    """Print a row of the table."""
    is_there = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    store = open_store(folder / "state.sqlite3")
    if not is_there:
        make(folder, store, count)
    every = store.documents.all("ready")
    questions = asked(store, every)
    lexical = LexicalIndex(folder / "lexical")
    index = Index(store, open_embedded(folder / "chroma"), lexical, KnownVectors(questions))
    await index.catch_up()
    scope = store.collections.scope("", "bench")
    chance = random.Random(4)
    cells = []
    for listed in (None, 1, LISTED):
        taken, cpu = [], []
        for query in list(questions):
            within = None if listed is None else chance.sample(every, min(listed, len(every)))
            began, used = time.perf_counter(), time.process_time()
            pages(await hits(index, store, scope, [query], within, WEIGHT), LIMIT)
            taken.append(1000 * (time.perf_counter() - began))
            cpu.append(1000 * (time.process_time() - used))
        cells.append(f"{spread(taken)} ({spread(cpu)})")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{count:>8} {cells[0]:>26} {cells[1]:>26} {cells[2]:>26} {memory:>6.0f}", flush=True)
    index.close()
    store.close()


def spread(milliseconds: Sequence[float]) -> str:
    """Half of them take at most the first, nearly all the second."""
    return f"{statistics.median(milliseconds):.1f} / {statistics.quantiles(milliseconds, n=20)[-1]:.1f}"


def beside_an_import(pages: int) -> None:
    """Print how long searches take while nothing else is done, and during an import."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with service(folder / "data") as (client, _):
            send(client, made_up(folder / "small.pdf", 20), "true")
            alone = searched(client, lambda: False)
            send(client, made_up(folder / "big.pdf", pages), "false")
            during = searched(client, lambda: is_over(client))
    for name, taken in (("alone", alone), ("during an import", during)):
        print(f"{name:18} {len(taken):4} searches, milliseconds p50 / p95: {spread(taken)}")
    print(f"{'ratio of p50':18} {statistics.median(during) / statistics.median(alone):.2f}")


def send(client: httpx2.Client, file: Path, wait: str) -> None:
    """Import it for the demo model."""
    where = {"modelName": "demo", "wait": wait}
    with file.open("rb") as opened:
        answer = client.post("/importDocument", params=where, files={"file": (file.name, opened)})
    answer.raise_for_status()


def is_over(client: httpx2.Client) -> bool:
    """Whether both documents can be searched."""
    listed = client.get("/list_documents", params={"modelName": "demo"}).json()
    return "big" in str(listed)


def searched(client: httpx2.Client, ends: Any) -> list[float]:
    """Milliseconds of questions, no two alike, one after the other with a pause."""
    taken: list[float] = []
    while len(taken) < QUESTIONS and not ends():
        query = f"What does chapter {len(taken)} say of the number {len(taken) * 7}?"
        began = time.perf_counter()
        asked = {"modelName": "demo", "query": query}
        client.post("/search", data=asked).raise_for_status()
        taken.append(1000 * (time.perf_counter() - began))
        time.sleep(0.05)
    return taken


if __name__ == "__main__":
    main()
