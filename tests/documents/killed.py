"""A program that imports two documents, deletes the first, and is killed on the way by a fault point."""

import asyncio
import sys
from pathlib import Path

from tests.documents.house import House
from tests.documents.pdfs import handbook

FIRST = handbook([("Towers", "The tower of Lindau is 90 metres high.")])
SECOND = handbook([(f"Bridge {n}", f"Bridge {n} was built in {1900 + n}.") for n in range(20)])


async def main(folder: Path) -> None:
    """Do it all; end well when nothing kills."""
    house = House(folder, embedded=True).open()
    await house.bring(FIRST, "first.pdf")
    await house.bring(SECOND, "second.pdf")
    await house.deleter.delete_document("demo", "first")
    await house.deleter.settled()
    await house.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
