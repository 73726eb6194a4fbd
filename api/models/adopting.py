"""Gives models that are found without a record their record back, as after a database had to begin anew."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from anyio.to_thread import run_sync

from api.data_folder.contents import MANIFEST, files_made
from api.data_folder.findings import Finding
from api.data_folder.guarded import Guarded
from api.errors import ApiError
from api.models.lineage import told_lineage
from api.names import CHECKING, model_key, runtime_name
from api.runtime import ModelRuntime
from api.store import Store
from api.store.models import ModelKind, ModelRecord
from finetune.job.directory import JobDirectory
from finetune.job.files import read_json

Manifest = Mapping[str, Any]


async def adopt(
    store: Store, runtime: ModelRuntime, folder: Guarded | None, jobs_dir: Path
) -> list[Finding]:
    """Fine-tunes by the jobs that published them or, when those are deleted, by the manifests of the embedded runtime;
    personas by these.
    """
    try:
        existing = {model_key(info.name): info.name for info in await runtime.models()}
    except ApiError as error:
        return [Finding(f"Models cannot be looked at: {error.detail}", False)]
    return await run_sync(lambda: _adopted(store, existing, folder, jobs_dir))


async def untold(
    store: Store, runtime: ModelRuntime, folder: Guarded | None, bundled: Iterable[str]
) -> list[str]:
    """Models that are taken for base models because nothing tells whether they are: over a runtime without manifests,
    and of an earlier release, which wrote down less.
    """
    records = await run_sync(store.models.all)
    manifests = await run_sync(_manifests, folder) if folder else []
    told = [one["name"] for one in manifests if "trained_from" in one]
    known = {*records, *map(model_key, told), *map(model_key, bundled)}
    return [
        info.name
        for info in await runtime.models()
        if "chat" in info.capabilities
        and not info.back_end  # which its back end's row tells
        and model_key(info.name) not in known
    ]


def _adopted(
    store: Store, existing: Mapping[str, str], folder: Guarded | None, jobs_dir: Path
) -> list[Finding]:
    manifests = _manifests(folder) if folder else []
    trained = _trained(manifests)
    return [
        *_published(store, existing, trained, jobs_dir),
        *_fine_tunes(store, trained),
        *_personas(store, manifests),
    ]


def _trained(manifests: Sequence[Manifest]) -> dict[str, ModelRecord]:
    """The records of fine-tunes by their keys; what a publishing that was cut left under another name is none."""
    trained = {}
    for one in manifests:
        match one:
            case {"name": str(name), "trained_from": {"base": str(base), "root": str(root)}}:
                if not name.endswith(CHECKING):
                    lineage = one["trained_from"].get("lineage") or {}
                    record = _record(one, "fine-tune", base, root)
                    trained[model_key(name)] = replace(record, lineage=lineage)
    return trained


def _published(
    store: Store,
    existing: Mapping[str, str],
    trained: Mapping[str, ModelRecord],
    jobs_dir: Path,
) -> list[Finding]:
    findings = []
    for job in store.jobs.all("succeeded"):
        key = model_key(runtime_name(job.workspace, job.model_name))
        name = existing.get(key)
        if name and store.models.get(name) is None:
            lineage = told_lineage(JobDirectory(jobs_dir / job.id))
            record = store.models.put(name, "fine-tune", job.base_model, job.id, lineage=lineage)
            if key in trained:  # what it was trained from may have no record yet
                store.models.put_back(replace(record, root=trained[key].root))
            findings.append(Finding(f"Model {name} is known again as made by job {job.id}.", True))
    return findings


def _fine_tunes(store: Store, trained: Mapping[str, ModelRecord]) -> list[Finding]:
    findings = []
    for record in trained.values():
        if store.models.get(record.name) is None:
            store.models.put_back(record)
            text = f"Model {record.name} is known again as trained from {record.base}."
            findings.append(Finding(text, True))
    return findings


def _personas(store: Store, manifests: Sequence[Manifest]) -> list[Finding]:
    """Each was made of a model with the same weights; the one that was made of none is below all of them."""
    roots: dict[str, str] = {one["blob"]: one["name"] for one in manifests if not one["base"]}
    findings = []
    for one in manifests:
        if one["base"] and store.models.get(one["name"]) is None:
            below = roots.get(str(one["blob"]), str(one["base"]))
            root = store.models.root_of(below)  # that of a fine-tune is its own base's
            store.models.put_back(_record(one, "persona", one["base"], root))
            text = f"Model {one['name']} is known again as made of {one['base']}."
            findings.append(Finding(text, True))
    return findings


def _record(manifest: Manifest, kind: ModelKind, base: str, root: str) -> ModelRecord:
    created_at = str(manifest.get("created_at", ""))
    return ModelRecord(manifest["name"], kind, base, "", created_at, root)


def _manifests(folder: Guarded) -> list[Manifest]:
    """Those that say what the registry writes."""
    read = [read_json(path) for path in files_made(folder.path / "manifests", MANIFEST)]
    return [one for one in read if isinstance(one, dict) and {"name", "base", "blob"} <= one.keys()]
