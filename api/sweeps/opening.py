"""Opens the sweeps, as the settings say."""

from api.data_folder.shelf import Shelf
from api.jobs.queue import JobQueue
from api.names import WORKSPACE
from api.runtime import ModelRuntime
from api.settings import Settings
from api.store import Store
from api.sweeps.sweeps import Sweeps


def open_sweeps(
    settings: Settings,
    store: Store,
    runtime: ModelRuntime,
    jobs: JobQueue,
    workspace: str = WORKSPACE,
) -> Sweeps:
    """The sweeps of a workspace in a data folder; `start` brings those of all on."""
    shelf = Shelf(settings.sweeps_dir, "sw", "sweep", workspace)
    return Sweeps(shelf, store, runtime, jobs)
