"""What a dead process has left where files are received and made: half files, by the names that we give them."""

import re
from pathlib import Path

from api.data_folder.contents import files_made
from api.settings import Settings

INCOMING = ".incoming-"
"""Beginning of the name of a file that is being received."""
CONVERTING = ".converting-"
"""Beginning of the name of a model that is being converted."""
_HALF = re.compile(
    rf"{re.escape(INCOMING)}[0-9a-f]{{16}}|\.?{re.escape(CONVERTING)}.+\.gguf(\.[\d-]+\.tmp)?"
)


def leftovers(settings: Settings) -> list[Path]:
    """Every such file."""
    folders = (settings.uploads_dir, settings.converting_dir)
    return [path for folder in folders for path in files_made(folder, _HALF)]


def sweep(settings: Settings) -> None:
    """Remove them, and make the folders; what others keep there stays."""
    for path in leftovers(settings):
        path.unlink(missing_ok=True)
    for folder in (settings.uploads_dir, settings.converting_dir):
        folder.mkdir(parents=True, exist_ok=True)
