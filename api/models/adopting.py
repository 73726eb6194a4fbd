"""Gives models that are found without a record their record back, as after a database had to begin anew."""

from anyio.to_thread import run_sync

from api.data_folder.guarded import Guarded
from api.errors import ApiError, Finding
from api.names import model_key
from api.runtime import ModelRuntime
from api.store import Store
from finetune.job.locks import read_json


async def adopt(store: Store, runtime: ModelRuntime, folder: Guarded | None) -> list[Finding]:
    """Fine-tunes by the jobs that published them, personas of the embedded runtime by their manifests."""
    try:
        existing = {model_key(info.name): info.name for info in await runtime.models()}
    except ApiError as error:
        return [Finding(f"Models cannot be looked at: {error.detail}", False)]
    return await run_sync(lambda: [*_fine_tunes(store, existing), *_personas(store, folder)])


def _fine_tunes(store: Store, existing: dict[str, str]) -> list[Finding]:
    findings = []
    for job in store.jobs.all("succeeded"):
        name = existing.get(model_key(job.model_name))
        if name and store.models.get(name) is None:
            store.models.put(name, "fine-tune", job.base_model, job.id)
            findings.append(Finding(f"Model {name} is known again as made by job {job.id}.", True))
    return findings


def _personas(store: Store, folder: Guarded | None) -> list[Finding]:
    findings = []
    for path in folder.contents.unplaced() if folder else ():
        match read_json(path) if path.suffix == ".json" else None:
            case {"name": str(name), "base": str(base)}:
                store.models.put(name, "persona", base)
                findings.append(Finding(f"Model {name} is known again as made of {base}.", True))
    return findings
