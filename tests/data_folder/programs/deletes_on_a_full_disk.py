"""Fills the disk of FOLDER to the last byte, then deletes a document, a job and a model's record."""

import asyncio
import sys
from pathlib import Path

from api.errors import OutOfSpace
from api.jobs.deleting import delete_job
from tests.data_folder.place import MORE
from tests.documents.house import House
from tests.jobs.workshop import Workshop


def fill_up(path: Path) -> None:
    """Write until nothing fits any more."""
    with path.open("wb", buffering=0) as file:
        for size in (2**16, 2**10, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue


async def main(folder: Path) -> None:
    """All of the deletes must work, and afterwards everything else again."""
    house = House(folder, embedded=True).open()
    shop = Workshop(folder)
    for number in (0, 1):
        await house.bring(MORE[number], f"{number}.pdf")
    job = await shop.submit("tuned")
    shop.store.jobs.move(job.id, "cancelled")
    house.store.models.put("ada", "persona", "demo")
    house.store.database.reserve.fill()
    fill_up(folder / "filler")
    try:
        await house.bring(MORE[2], "2.pdf")
    except (OutOfSpace, OSError):
        print("full")  # noqa: T201
    await house.deleter.delete_document(house.scope(), "0")
    await house.deleter.settled()
    await delete_job(shop.store, shop.runtime, shop.supervisor, job.id)
    house.store.models.remove("ada")
    left = [one.name for one in house.store.documents.all()]
    print(left, shop.store.jobs.all(), house.store.models.all(), len(house.kept()))  # noqa: T201
    (folder / "filler").unlink()
    await house.bring(MORE[2], "2.pdf")
    assert house.is_whole()
    await house.close()


asyncio.run(main(Path(sys.argv[1])))
