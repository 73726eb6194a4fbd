"""Opens the back ends, over the store and the folder of their keys."""

from api.backends.catalogue import BackEnds
from api.backends.kept import Kept
from api.backends.launch import Places
from api.backends.secrets import Keys
from api.settings import Settings
from api.store import Store


def open_back_ends(settings: Settings, store: Store) -> BackEnds:
    """The back ends as they are kept; none of them is asked anything."""
    places = Places(
        settings.base_models_dir, settings.jobs_dir, settings.data_dir, settings.model_servers_dir
    )
    return BackEnds(
        Kept(store.back_ends, store.collections), Keys(settings.data_dir / "keys"), places
    )
