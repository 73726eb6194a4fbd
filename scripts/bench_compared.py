"""What comparing in the database costs: time and memory of a search, beside reading every vector at once.

    python scripts/bench_compared.py [CHUNKS ...]

Makes a database of that many chunks (50,000 and 100,000, 384 dimensions) and prints, for one question over a whole
collection and over one document in ten: milliseconds of CPU, MiB above what the process had, and the ratio of both to
the plain way, which reads all vectors as one matrix and sorts all scores. `again` is a second search. Each in a process
of its own.
"""

import asyncio
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sqlalchemy import insert

from api.index.compared import Comparison
from api.store import Store, open_store
from api.store.tables import chunks, contents, documents, vectors

DIMENSION, A_DOCUMENT, LIMIT = 384, 100, 100
VERSION = f"bench:{DIMENSION}@0"
QUESTION = np.random.default_rng(1).normal(size=(1, DIMENSION)).astype(np.float32)

Search = Callable[[], object]


def make(path: Path, count: int) -> None:
    """A collection of `count` chunks, a hundred a document."""
    store = open_store(path)
    collection = store.collections.create("bench")
    random = np.random.default_rng(0)
    for number in range(count // A_DOCUMENT):
        name, first = f"doc_{number:016x}", number * A_DOCUMENT
        rows = random.normal(size=(A_DOCUMENT, DIMENSION)).astype(np.float16)
        with store.database.write() as connection:
            connection.execute(insert(contents).values(id=name, sha256=name, size_bytes=1))
            connection.execute(
                insert(documents).values(
                    id=name,
                    collection_id=collection.id,
                    content_id=name,
                    name=name,
                    name_key=name,
                    status="ready",
                    embedder=VERSION,
                    created_at="",
                )
            )
            text = {
                "content_id": name,
                "page": 1,
                "heading": "",
                "text": "word " * 160,
                "tokens": 1,
            }
            ids = range(first + 1, first + 1 + A_DOCUMENT)
            connection.execute(
                insert(chunks), [{**text, "id": one, "ordinal": one - first} for one in ids]
            )
            connection.execute(
                insert(vectors),
                [
                    {"chunk_id": one, "embedder": VERSION, "vector": row.tobytes()}
                    for one, row in zip(ids, rows, strict=True)
                ],
            )
    store.close()


def plain(store: Store, collection: str, within: list[str] | None) -> Search:
    """All vectors as one matrix, all scores sorted."""

    def search() -> object:
        blocks = list(store.vectors.blocks(VERSION, 10**9, collections=[collection], within=within))
        matrix = np.concatenate([block for _, block in blocks])
        scores = QUESTION @ matrix.astype(np.float32).T
        return np.argsort(-scores, axis=1, kind="stable")[:, :LIMIT]

    return search


def ours(store: Store, collection: str, within: list[str] | None) -> Search:
    """As the service does it."""
    comparison = Comparison(store)

    async def compare() -> object:
        return await comparison.nearest(
            QUESTION, VERSION, LIMIT, collections=[collection], within=within
        )

    return lambda: asyncio.run(compare())


def search_nothing(store: Store) -> None:
    """Load what every search needs once."""
    ours(store, "", None)()


def measure(path: Path, way: str, share: str) -> None:
    """Print the milliseconds of a first and a second search, and the MiB that they took."""
    store = open_store(path)
    collection = store.collections.find("bench").id
    known = [one.id for one in store.documents.all()][::10] if share == "tenth" else None
    search = (ours if way == "ours" else plain)(store, collection, known)
    search_nothing(store)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(2):
        began = time.process_time()
        search()
        print(f"{1000 * (time.process_time() - began):.1f}", end=" ")
    print(f"{(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024:.0f}")
    store.close()


def main(counts: list[int]) -> None:
    """A table a size."""
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            path = Path(folder) / f"{count}.sqlite3"
            make(path, count)
            for share in ("whole", "tenth"):
                found = {}
                for way in ("plain", "ours"):
                    command = [sys.executable, __file__, "--measure", str(path), way, share]
                    said = subprocess.run(command, capture_output=True, text=True, check=True)
                    found[way] = [float(part) for part in said.stdout.split()]
                first, again, memory = found["ours"]
                ratios = [
                    f"{mine / max(theirs, 0.1):.2f}"
                    for mine, theirs in zip(found["ours"], found["plain"], strict=True)
                ]
                print(
                    f"{count:>7} chunks, {share}: {first:.0f} ms (x{ratios[0]} of plain), "
                    f"again {again:.0f} ms (x{ratios[1]}), {memory:.0f} MiB (x{ratios[2]})"
                )
            path.unlink()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(Path(sys.argv[2]), sys.argv[3], sys.argv[4])
    else:
        main([int(one) for one in sys.argv[1:]] or [50_000, 100_000])
