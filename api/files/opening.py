"""Opens the files and uploads, as the settings say."""

from api.data_folder.shelf import Shelf
from api.datasets.datasets import Datasets
from api.files.files import Files
from api.files.uploads import Uploads
from api.names import WORKSPACE
from api.settings import Settings

FOLDER = "files"


def open_files(settings: Settings, datasets: Datasets, workspace: str = WORKSPACE) -> Files:
    """The files of a workspace in a data folder; with the first what a dead process left half made is removed."""
    shelf = Shelf(settings.data_dir / FOLDER, "file", "file", workspace)
    if workspace == WORKSPACE:
        shelf.sweep()
    return Files(shelf, datasets)


def open_uploads(settings: Settings, files: Files, workspace: str = WORKSPACE) -> Uploads:
    """What is on its way to become one of the files, beside them."""
    shelf = Shelf(settings.data_dir / FOLDER, "upload", "upload", workspace)
    if workspace == WORKSPACE:
        shelf.sweep()
    return Uploads(shelf, files, settings.max_upload_bytes)
