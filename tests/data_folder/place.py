"""A data folder with documents and jobs that outlives each start of the service, and yesterday's copy of it."""

import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from api.data_folder.leftovers import sweep
from api.settings import Settings
from tests.documents.house import House
from tests.documents.pdfs import pdf
from tests.jobs.workshop import Workshop

MORE = [pdf(f"The bridge number {number} is {number} metres long.") for number in range(4)]
FOLDERS = ("documents", "jobs", "uploads", "converting", "models", "lexical", "lost", "chroma")


class Place:
    """A data folder with documents and jobs; each `start` is one of the service."""

    notes: tuple[str, ...]

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = Settings(data_dir=folder)
        self.notes = ()

    @contextlib.asynccontextmanager
    async def start(self) -> AsyncIterator[tuple[House, Workshop]]:
        """Everything that a start sweeps, sweeps."""
        sweep(self.settings)
        house = House(self.folder).open()
        shop = Workshop(self.folder)
        self.notes = house.folders.notes
        await house.deleter.resume()
        await house.importer.resume()
        yield house, shop
        await house.deleter.settled()
        await house.close()
        await shop.vanish()

    async def add(self, number: int) -> None:
        """One document more and one job more."""
        async with self.start() as (house, shop):
            await house.bring(MORE[number], f"{number}.pdf")
            await shop.submit(f"tuned-{number}")

    async def restart(self) -> None:
        """A start that nobody asks anything."""
        async with self.start():
            pass

    def kept(self) -> set[str]:
        """Every PDF and every job folder that is where it belongs."""
        pdfs = self.settings.documents_dir.glob("*.pdf")
        return {path.name for path in (*pdfs, *self.settings.jobs_dir.glob("job_*"))}

    def lost(self) -> set[str]:
        """Everything that was put aside."""
        return {path.name for path in self.folder.glob("lost/*/*/*")}

    def keep_copy(self, *names: str) -> Path:
        """Yesterday's state of some of it."""
        copy = self.folder.with_name("yesterday")
        for name in names:
            source = self.folder / name
            copy.mkdir(exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, copy / name)
        return copy

    def put_back(self, *names: str) -> None:
        """Replace today's by yesterday's."""
        for name in names:
            target, source = self.folder / name, self.folder.with_name("yesterday") / name
            shutil.rmtree(target) if target.is_dir() else target.unlink()
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, target)


def put_into(folder: Path) -> list[Path]:
    """What others keep in a folder of ours."""
    folder.mkdir(exist_ok=True)
    theirs = [
        folder / name for name in ("@eaDir", "lost+found", "notes.txt", "mine.pdf", "._a.pdf")
    ]
    for path in theirs:
        path.write_text("mine") if path.suffix else path.mkdir(mode=0o000)
    links = [folder / "doc_ffffffffffffffff.pdf", folder / "job_ffffffffffffffff"]
    links[0].symlink_to(folder / "mine.pdf")
    links[1].symlink_to(folder / "@eaDir")
    return theirs + links
