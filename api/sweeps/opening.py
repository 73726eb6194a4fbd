"""Opens the sweeps, as the settings say."""

from api.data_folder.shelf import Shelf
from api.jobs.queue import JobQueue
from api.runtime import ModelRuntime
from api.settings import Settings
from api.store import Store
from api.sweeps.sweeps import Sweeps


def open_sweeps(settings: Settings, store: Store, runtime: ModelRuntime, jobs: JobQueue) -> Sweeps:
    """The sweeps of a data folder; `start` brings them on."""
    return Sweeps(Shelf(settings.sweeps_dir, "sw", "sweep"), store, runtime, jobs)
