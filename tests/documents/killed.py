"""A program that imports two documents, and the first into a second collection too, deletes the two and then that
collection, and is killed on the way by a fault point; others do what stands before the name of theirs.

    python -m tests.documents.killed FOLDER [replacing+|reembedding+]NAME:PASS ...

Each kill happens in a fork of its own, in a folder of its own, so that the libraries are loaded once.
"""

import asyncio
import importlib
import os
import sys
from pathlib import Path

from api import faults
from api.index import turns
from tests.databases import migrated
from tests.documents.house import House
from tests.documents.pdfs import handbook
from tests.fakes import FakeRuntime

FIRST = handbook([("Towers", "The tower of Lindau is 90 metres high.")])
SECOND = handbook([(f"Bridge {n}", f"Bridge {n} was built in {1900 + n}.") for n in range(20)])
NEWER = handbook([("Towers", "The tower of Lindau is 91 metres high, and has a clock.")])


async def work(folder: Path) -> None:
    """Do it all; end well when nothing kills."""
    house = House(folder, embedded=True).open()
    await house.bring(FIRST, "first.pdf")
    await house.bring(SECOND, "second.pdf")
    await house.bring(FIRST, "shared.pdf", "other")
    for name in ("first", "second"):
        await house.deleter.delete_document(house.scope(), name)
        await house.deleter.settled()
    await house.deleter.delete_collection(house.store.collections.find("other"))
    await house.deleter.settled()
    await house.close()


async def replace(folder: Path) -> None:
    """Import a document, and a newer version of it in its place."""
    house = House(folder, embedded=True).open()
    await house.bring(FIRST, "first.pdf")
    await house.bring(NEWER, "first.pdf", replace=True)
    await house.deleter.settled()
    await house.close()


async def embed_anew(folder: Path) -> None:
    """Embed two documents by another model, and drop what answered before."""
    house = House(folder, embedded=True, runtime=two_embedders()).open()
    await house.bring(FIRST, "first.pdf")
    await house.bring(SECOND, "second.pdf")
    await house.reembedder.start(house.store.collections.find("demo"), "other")
    await house.reembedder.settled()
    await house.reembedder.end(house.store.collections.find("demo"))
    await house.deleter.settled()
    await house.close()


def two_embedders() -> FakeRuntime:
    """A runtime with a second embedding model."""
    runtime = FakeRuntime()
    runtime.add_models_of(FakeRuntime(embedding_model="other"))
    return runtime


WORK = {"": work, "replacing": replace, "reembedding": embed_anew}


def main(base: Path, kills: list[str]) -> None:
    """One death after the other."""
    turns.ALONE_TOKENS = 100  # several turns a document
    migrated(base / "empty.sqlite3")  # made here, each fork has it
    for kill in kills:
        child = os.fork()
        if child == 0:
            kind, _, fault = kill.rpartition("+")
            os.environ["LLM_FASTAPI_FAULT"] = fault
            importlib.reload(faults)
            asyncio.run(WORK[kind](base / kill))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 137, kill


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
