"""Gives models that are found without a record their record back, as after a database had to begin anew."""

from collections.abc import Mapping
from typing import Any

from anyio.to_thread import run_sync

from api.data_folder.contents import MANIFEST, files_made
from api.data_folder.guarded import Guarded
from api.errors import ApiError, Finding
from api.names import model_key
from api.runtime import ModelRuntime
from api.store import Store
from api.store.models import ModelRecord
from finetune.job.locks import read_json

Manifest = Mapping[str, Any]


async def adopt(store: Store, runtime: ModelRuntime, folder: Guarded | None) -> list[Finding]:
    """Fine-tunes by the jobs that published them, personas of the embedded runtime by their manifests."""
    try:
        existing = {model_key(info.name): info.name for info in await runtime.models()}
    except ApiError as error:
        return [Finding(f"Models cannot be looked at: {error.detail}", False)]
    return await run_sync(lambda: [*_fine_tunes(store, existing), *_personas(store, folder)])


def _fine_tunes(store: Store, existing: Mapping[str, str]) -> list[Finding]:
    findings = []
    for job in store.jobs.all("succeeded"):
        name = existing.get(model_key(job.model_name))
        if name and store.models.get(name) is None:
            store.models.put(name, "fine-tune", job.base_model, job.id)
            findings.append(Finding(f"Model {name} is known again as made by job {job.id}.", True))
    return findings


def _personas(store: Store, folder: Guarded | None) -> list[Finding]:
    """Each was made of a model with the same weights; the one that was made of none is below all of them."""
    manifests = _manifests(folder) if folder else []
    roots: dict[str, str] = {one["blob"]: one["name"] for one in manifests if not one["base"]}
    findings = []
    for one in manifests:
        if one["base"] and store.models.get(one["name"]) is None:
            store.models.put_back(
                _record(store, one, roots.get(str(one["blob"]), str(one["base"])))
            )
            text = f"Model {one['name']} is known again as made of {one['base']}."
            findings.append(Finding(text, True))
    return findings


def _record(store: Store, persona: Manifest, root: str) -> ModelRecord:
    below = store.models.get(root)  # a fine-tune, which stands on its own base
    return ModelRecord(
        name=persona["name"],
        kind="persona",
        base=persona["base"],
        job_id="",
        created_at=str(persona.get("created_at", "")),
        root=below.root if below else root,
    )


def _manifests(folder: Guarded) -> list[Manifest]:
    """Those that say what the registry writes."""
    read = [read_json(path) for path in files_made(folder.path / "manifests", MANIFEST)]
    return [one for one in read if isinstance(one, dict) and {"name", "base", "blob"} <= one.keys()]
