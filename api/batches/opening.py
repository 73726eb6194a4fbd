"""Opens the batches, as the settings say."""

from api.batches.batches import Batches
from api.batches.runner import BatchRunner
from api.batches.values import from_card
from api.data_folder.cards import Cards
from api.data_folder.shelf import Shelf
from api.files.files import Files
from api.names import WORKSPACE
from api.settings import Settings


def open_batch_runner(settings: Settings) -> BatchRunner:
    """What brings the batches of all workspaces on; what a dead process left half made is removed."""
    shelf = _shelf(settings)
    shelf.sweep()
    return BatchRunner(Cards(shelf, from_card), settings.parallel_requests)


def open_batches(
    settings: Settings, files: Files, runner: BatchRunner, workspace: str = WORKSPACE
) -> Batches:
    """The batches of a workspace in a data folder; `start` brings those of all to their end."""
    return Batches(_shelf(settings).of(workspace), files, runner)


def _shelf(settings: Settings) -> Shelf:
    return Shelf(settings.batches_dir, "batch", "batch")
