"""What a dead process has left half written or received, by the names that we give such files."""

import re
from pathlib import Path

from api.data_folder.contents import files_made
from api.settings import Settings

INCOMING = ".incoming-"
"""Beginning of the name of a file that is being received."""
CONVERTING = ".converting-"
"""Beginning of the name of a model that is being converted."""
_HALF = re.compile(
    rf"{re.escape(INCOMING)}[0-9a-f]{{16}}|\.?{re.escape(CONVERTING)}.+\.(gguf|onnx)(\.[\d-]+\.tmp)?"
)
_UNWRITTEN = re.compile(r"\.(installation|[a-z]+_[0-9a-f]{16})\.json\.[\d-]+\.tmp")
"""A card or a label that was being written."""


def leftovers(settings: Settings) -> list[Path]:
    """Every such file."""
    folders = (settings.uploads_dir, settings.converting_dir, settings.documents_dir)
    halves = [path for folder in folders for path in files_made(folder, _HALF)]
    guarded = (settings.documents_dir, settings.jobs_dir, settings.models_dir)
    return halves + [path for folder in guarded for path in files_made(folder, _UNWRITTEN)]


def sweep(settings: Settings) -> None:
    """Remove them, and make the folders; what others keep there stays."""
    for path in leftovers(settings):
        path.unlink(missing_ok=True)
    for folder in (settings.uploads_dir, settings.converting_dir):
        folder.mkdir(parents=True, exist_ok=True)
