"""Opens the back ends, over the store and the folder of their keys."""

from functools import partial

from api.backends.catalogue import BackEnds
from api.backends.kept import Kept
from api.backends.launch import Places
from api.backends.secrets import Keys
from api.errors import CannotStart, JobNotFound
from api.names import WORKSPACE
from api.runtime.openai_style.transport import trusted
from api.settings import Settings
from api.store import Store
from api.store.jobs import Jobs


def open_back_ends(settings: Settings, store: Store) -> BackEnds:
    """The back ends as they are kept; none of them is asked anything. `errors.CannotStart` for a file of CAs that is
    none.
    """
    places = Places(
        settings.base_models_dir,
        settings.jobs_dir,
        settings.data_dir,
        settings.model_servers_dir,
        partial(_has, store.of(WORKSPACE).jobs),
    )
    if settings.ca_file:
        try:
            trusted(settings.ca_file)
        except OSError as error:
            raise CannotStart(
                f"LLM_FASTAPI_CA_FILE: {settings.ca_file} is no file of certificates in PEM that can be read "
                f"({error.strerror or error})."
            ) from error
    kept = Kept(store.back_ends, store.collections, store.model_defaults)
    return BackEnds(kept, Keys(settings.data_dir / "keys"), places, settings.ca_file)


def _has(jobs: Jobs, id: str) -> bool:
    """Whether the first workspace, which has the back ends, has that job; another one's is not there."""
    try:
        jobs.get(id)
    except JobNotFound:
        return False
    return True
