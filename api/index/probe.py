"""Opens a Chroma folder and touches every collection, in a process of its own: run by path, with the folder.

A damaged folder can kill the process that opens it (https://github.com/MemPalace/mempalace/issues/1092).
"""

import sys

import chromadb
from chromadb.config import Settings


def main(folder: str) -> None:
    """Read from every part of the folder."""
    client = chromadb.PersistentClient(folder, settings=Settings(anonymized_telemetry=False))
    for collection in client.list_collections():
        ids = collection.get(include=[])["ids"]
        if not ids:
            continue
        some = collection.get(ids=ids[:1], include=["embeddings"])["embeddings"]
        if some is not None and len(some):
            collection.query(query_embeddings=some, n_results=10, include=["distances"])


if __name__ == "__main__":
    main(sys.argv[1])
