"""Opens the files, as the settings say."""

from api.data_folder.shelf import Shelf
from api.datasets.datasets import Datasets
from api.files.files import Files
from api.names import WORKSPACE
from api.settings import Settings


def open_files(settings: Settings, datasets: Datasets, workspace: str = WORKSPACE) -> Files:
    """The files of a workspace in a data folder; with the first what a dead process left half made is removed."""
    shelf = Shelf(settings.data_dir / "files", "file", "file", workspace)
    if workspace == WORKSPACE:
        shelf.sweep()
    return Files(shelf, datasets)
