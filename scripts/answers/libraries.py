"""Folders of PDFs with questions beside or above them, imported once into a data folder that is kept."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from api.documents.collections import Owner
from api.errors import CollectionNotFound, DocumentUnusable
from api.opening import open_services
from api.services import Services
from api.settings import Settings
from api.store import open_store

UNANSWERABLE = Path(__file__).with_name("unanswerable.txt")


@dataclass(frozen=True)
class Library:
    """A folder of documents, what it answers, and what it does not though it is about the same things."""

    name: str
    files: tuple[Path, ...]
    answerable: tuple[str, ...]
    unanswerable: tuple[str, ...]


def libraries(data: Path) -> list[Library]:
    """Every folder under `data` that has PDFs and questions. `questions.jsonl` lies in it, or above and names it as
    `library`; questions in another language than the documents (`@other` in their id) are left out.
    """
    found = []
    unanswerable = dict(_sections(UNANSWERABLE.read_text()))
    for folder in sorted({path.parent for path in data.rglob("*.pdf")}):
        questions = [*_questions(folder), *_questions(folder.parent, folder.name)]
        if questions:
            files = tuple(sorted(folder.glob("*.pdf")))
            name = folder.name
            found.append(Library(name, files, tuple(questions), unanswerable.get(name, ())))
    return found


def _questions(folder: Path, library: str = "") -> Iterator[str]:
    path = folder / "questions.jsonl"
    for line in path.read_text().splitlines() if path.is_file() else ():
        row = json.loads(line)
        if row.get("library", "") == library and "@other" not in row.get("id", ""):
            yield row["question"]


def _sections(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for section in text.split("\n[")[1:]:
        name, _, lines = section.partition("]\n")
        yield name, tuple(line for line in lines.splitlines() if line.strip())


@asynccontextmanager
async def opened(home: Path, **settings: object) -> AsyncIterator[Services]:
    """The service's own parts over the data folder `home`, without HTTP."""
    async with AsyncExitStack() as stack:
        chosen = Settings.model_validate({"data_dir": home, **settings})
        store = open_store(chosen.database_path)
        stack.callback(store.close)
        services = await open_services(chosen, store, stack)
        for name in services.bundled.states():
            await services.bundled.prepare(name)
        await services.index.repair()
        yield services


async def imported(services: Services, library: Library) -> None:
    """Have its documents in the collection of its name; what is there is not read again."""
    try:
        await services.collections.get(library.name)
    except CollectionNotFound:
        await services.collections.create(library.name)
    for path in library.files:
        with path.open("rb") as file:
            owner = Owner(collection=library.name)
            try:
                await services.collections.import_document(owner, file, path.name, wait=True)
            except DocumentUnusable as error:
                print(f"{path.name} is left out: {error.detail}", flush=True)
