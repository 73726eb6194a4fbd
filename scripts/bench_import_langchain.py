"""The recipe that `bench_import.py` compares with: PyPDFLoader, RecursiveCharacterTextSplitter, Chroma.from_documents.

It runs in an environment of its own, and prints what each part took as one JSON object:

    PYTHON scripts/bench_import_langchain.py WEIGHTS_FOLDER FILE.pdf ...

PYTHON has langchain-community, langchain-text-splitters, langchain-chroma, langchain-huggingface, sentence-transformers
and pypdf. None of them is a dependency of the service.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable

from langchain_chroma import Chroma
from langchain_community.document_loaders import PyPDFLoader
from langchain_huggingface import HuggingFaceEmbeddings
from langchain_text_splitters import RecursiveCharacterTextSplitter

CHARACTERS = 1000
OVERLAP = 200


def main(weights: str, files: list[str]) -> None:
    """Import the files as the usual tutorial does; the model is loaded and warm before."""
    embeddings = HuggingFaceEmbeddings(model_name=weights)
    embeddings.embed_documents(["warm"] * 4)
    splitter = RecursiveCharacterTextSplitter(chunk_size=CHARACTERS, chunk_overlap=OVERLAP)

    def text() -> list:
        return splitter.split_documents(
            [page for file in files for page in PyPDFLoader(file).load()]
        )

    chunks, reading = timed(text)
    with tempfile.TemporaryDirectory() as folder:
        _, embedding = timed(
            lambda: Chroma.from_documents(chunks, embeddings, persist_directory=folder)
        )
    tokenizer = embeddings._client.tokenizer
    tokens = sum(len(tokenizer(chunk.page_content)["input_ids"]) for chunk in chunks)
    print(
        json.dumps(
            {"reading": reading, "embedding": embedding, "chunks": len(chunks), "tokens": tokens}
        )
    )


def timed(work: Callable[[], object]) -> tuple:
    """What it gives, and (wall seconds, CPU seconds of all threads)."""
    cpu, wall = time.process_time(), time.monotonic()
    result = work()
    return result, (time.monotonic() - wall, time.process_time() - cpu)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
