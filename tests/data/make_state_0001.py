# mypy: ignore-errors
"""Made `state_0001.sqlite3`: a small database as the version with schema 0001 left it. Run in a checkout of it:

    PYTHONPATH=. python .../tests/data/make_state_0001.py FOLDER

and FOLDER/state.sqlite3 is the file. Its embedder is the fake of the tests, of 64 dimensions.
"""

import asyncio
import shutil
import sqlite3
import sys
from pathlib import Path

from tests.documents.house import House
from tests.documents.pdfs import drawing_only, handbook, pdf
from tests.fakes import FakeRuntime

SHARED = handbook(
    [
        ("Parking", "The parking fee of the north garage is 45 euros a month. Ask the desk."),
        ("Holidays", "Every employee has 30 days of holiday a year. Ten may be carried over."),
        ("Lunch", "The canteen opens at 11:45 and closes at 14:00."),
        ("Badges", "A lost badge costs 20 euros. Report it to the front desk at once."),
        ("Travel", "Trains are booked in second class. Flights need a signature."),
    ]
)
LONG = pdf(*(f"Page {n} tells of the river number {n}.\n" * 12 for n in range(12)))


class TiredRuntime(FakeRuntime):
    """Embeds one batch and is away from then on."""

    async def embed(self, name: str, texts: list[str]) -> list[list[float]]:
        vectors = await super().embed(name, texts)
        self.available = False
        return vectors


async def make(folder: Path) -> None:
    """Two models with one file, one for all, one that failed, one half done, one half deleted; a job, three records."""
    house = House(folder).open()
    await house.bring(SHARED, "handbook.pdf", "demo")
    await house.bring(SHARED, "Staff handbook.pdf", "Ada")
    await house.bring(pdf("The tower of Lindau is 90 metres high."), "tower.pdf", "")
    failed, _ = await house.bring(drawing_only(), "drawing.pdf", "demo", wait=False)
    await house.ended(failed)
    gone, _ = await house.bring(pdf("The bridge was built in 1901."), "bridge.pdf", "demo")
    house.store.documents.mark_deleting([gone.id])
    house.store.models.put("Ada", "persona", "demo")
    house.store.models.put("tuned", "fine-tune", "demo", "job_0123456789abcdef")
    house.store.jobs.add("job_0123456789abcdef", "tuned", "demo", {"seed": 1})
    await house.close()
    house.runtime = TiredRuntime()
    house.open()
    half, _ = await house.bring(LONG, "rivers.pdf", "Ada", wait=False)
    while house.store.documents.chunk_count(half.id) < 16:
        await asyncio.sleep(0.01)
    await house.close()
    with sqlite3.connect(folder / "state.sqlite3") as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()


if __name__ == "__main__":
    shutil.rmtree(sys.argv[1], ignore_errors=True)
    asyncio.run(make(Path(sys.argv[1])))
