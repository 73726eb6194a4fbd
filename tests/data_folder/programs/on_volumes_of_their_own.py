"""Two starts over FOLDER, whose `documents/` and `jobs/` are mounted; between them a job and a PDF of nobody come."""

import asyncio
import sys
from pathlib import Path

from api.data_folder import DataFolder
from api.data_folder.lost import Lost
from tests.data_folder.place import MORE, Place


async def main(place: Place) -> None:
    """What has no place stays on its volume."""
    DataFolder(place.folder).release()
    await place.add(0)
    (place.settings.documents_dir / "doc_0123456789abcdef.pdf").write_bytes(MORE[1])
    (place.settings.jobs_dir / "job_0123456789abcdef" / "inputs").mkdir(parents=True)
    await place.restart()
    guarded = (place.settings.documents_dir, place.settings.jobs_dir)
    for path in Lost(place.folder).all(*guarded):
        date = path.parent.name
        print(path.relative_to(place.folder).as_posix().replace(date, "DATE"))  # noqa: T201
    print(len(place.kept()), len(Lost(place.folder).purge(*guarded)))  # noqa: T201
    assert not (place.settings.jobs_dir / "lost").exists()


asyncio.run(main(Place(Path(sys.argv[1]))))
