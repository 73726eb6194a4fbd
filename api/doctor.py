"""`llm-fastapi doctor`: holds database, indexes, files, models and job folders against each other."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import anyio.to_thread

from api.data_folder import DataFolder
from api.data_folder.contents import WEIGHTS
from api.data_folder.findings import Examined, Finding
from api.data_folder.guarded import Guarded
from api.data_folder.leftovers import leftovers
from api.data_folder.lost import Lost
from api.documents.adopting import adopt as adopt_documents
from api.documents.doctor import examine as examine_documents
from api.documents.embedders import examine as examine_embedders
from api.errors import ApiError
from api.jobs.adopting import adopt as adopt_jobs
from api.jobs.doctor import examine as examine_jobs
from api.models.adopting import adopt as adopt_models
from api.models.adopting import untold
from api.names import model_key
from api.opening import open_services
from api.runtime.llama_cpp.devices import GPU_HINT
from api.services import Services
from api.settings import Settings
from api.store import Store, open_store
from api.store.database import AFTER_DAMAGE

T = TypeVar("T")


async def examine(settings: Settings, *, repair: bool, adopt: bool = False) -> Examined:
    """Everything that is off, and what embeds each collection; the data folder must be nobody's.
    `errors.CannotStart` otherwise.

    With `adopt`, documents, jobs and models that are found without a row get one, and from then on folders and
    database belong together.
    """
    folder = DataFolder(settings.data_dir)
    try:
        store = open_store(settings.database_path)
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(store.close)
            if damage := await _in_thread(lambda: _damage(store)):
                return Examined(damage, [])  # nothing else can be told by it
            services = await open_services(settings, store, stack, sweeps=False)
            findings = [
                *(await _adopted(services) if adopt else []),
                *(_apart(note) for note in services.folders.notes),
                *await examine_documents(
                    store, services.index, services.importer.files, repair=repair
                ),
                *await _in_thread(
                    lambda: examine_jobs(store, services.folders.jobs, repair=repair)
                ),
                *await _models(services, repair),
                *await _in_thread(lambda: _weights(services.folders.models, repair)),
                *await _in_thread(lambda: _leftovers(settings, repair)),
                *await _in_thread(lambda: _cards(services)),
            ]
            embedders = await examine_embedders(
                store, services.index, services.runtime, services.bundled.states()
            )
            sandbox = await services.sandbox.note()
            notes = [*embedders.notes, *filter(None, [sandbox])]
            return Examined([*findings, *embedders.findings], notes)
    finally:
        folder.release()


def purge(settings: Settings) -> list[Path]:
    """Delete what lies in `lost/`, and nothing else; returns what it was. The data folder must be nobody's."""
    folder = DataFolder(settings.data_dir)
    try:
        return Lost(settings.data_dir).purge(*_guarded(settings))
    finally:
        folder.release()


def lost_things(settings: Settings) -> list[Path]:
    """What lies in `lost/`."""
    return Lost(settings.data_dir).all(*_guarded(settings))


def _guarded(settings: Settings) -> tuple[Path, ...]:
    return settings.documents_dir, settings.jobs_dir, settings.models_dir


async def _adopted(services: Services) -> list[Finding]:
    """Take back what has no row, jobs before the models that they made. Where that is done both sides agree."""
    folders, store = services.folders, services.workspaces.store
    jobs = await _in_thread(lambda: adopt_jobs(store, folders.jobs))
    is_apart = bool(folders.notes)
    runtime = services.workspaces.runtime
    models = await adopt_models(store, runtime, folders.models, folders.jobs.path)
    documents = await adopt_documents(
        services.importer, store.collections, services.bundled, services.settings
    )
    for folder, findings in (
        (folders.jobs, jobs),
        (folders.models, models),
        (folders.documents, documents),
    ):
        if folder is not None and all(repaired for _, repaired in findings):
            await _in_thread(folder.agree)
    return [*jobs, *models, *documents, *(await _untold(services) if is_apart else [])]


async def _untold(services: Services) -> list[Finding]:
    """Said once; nothing can be put right about it."""
    with contextlib.suppress(ApiError):
        names = await untold(
            services.workspaces.store,
            services.workspaces.runtime,
            services.folders.models,
            services.bundled.states(),
        )
        if names:
            text = (
                f"Nothing says what {', '.join(names)} were made of: they count as base models. "
                "What is none can be deleted and made again."
            )
            return [Finding(text, True)]
    return []


def _apart(note: str) -> Finding:
    return Finding(
        f"{note} Put back the database, or the folder, that belongs to it; or run `llm-fastapi doctor "
        "--adopt`, which takes back what it can and makes them belong together.",
        False,
    )


async def _in_thread(work: Callable[[], T]) -> T:
    return await anyio.to_thread.run_sync(work)


def _damage(store: Store) -> list[Finding]:
    try:
        problems = store.database.integrity_problems()
    except ApiError as error:
        return [Finding(error.detail, False)]
    return [
        Finding(f"The database is damaged: {problem}. {AFTER_DAMAGE}", False)
        for problem in problems
    ]


async def _models(services: Services, repair: bool) -> list[Finding]:
    """A record whose model the runtime does not have is nobody's; a model needs sound weights."""
    store, runtime = services.workspaces.store, services.workspaces.runtime
    infos = await runtime.models()
    existing = {model_key(info.name) for info in infos}
    records = await _in_thread(store.models.all)
    hints = await _hints(services)
    findings = [Finding(hint, False) for hint in hints]
    findings += [
        Finding(f"The file of model {info.name!r} is damaged. Create it again or delete it.", False)
        for info in infos
        if not (info.size_bytes or info.back_end) and repr(info.name) not in " ".join(hints)
    ]
    is_apart = services.folders.models is not None and services.folders.models.note
    is_sure = repair and not is_apart and not any("cannot be read" in hint for hint in hints)
    for key, record in records.items():
        if key not in existing:
            if is_sure:
                await anyio.to_thread.run_sync(store.models.remove, record.name)
            text = f"Model {record.name} is recorded and does not exist."
            findings.append(Finding(text, is_sure))
    for key in (await _in_thread(store.model_defaults.all)).keys() - existing:
        if is_sure:
            await anyio.to_thread.run_sync(store.model_defaults.put, key, {})
        findings.append(
            Finding(f"Defaults of {key} are kept, and there is no such model.", is_sure)
        )
    return findings


def _weights(folder: Guarded | None, repair: bool) -> list[Finding]:
    """Weights of no model are put aside, in the embedded runtime's folder."""
    findings = []
    for path in folder.contents.unplaced() if folder and not folder.note else ():
        if WEIGHTS.fullmatch(path.name):
            placed = folder.set_aside(path) if folder and repair else None
            text = f"The weights {path.name} are of no model"
            finding = f"{text}: moved to {placed}." if placed else f"{text}."
            findings.append(Finding(finding, placed is not None))
    return findings


async def _hints(services: Services) -> tuple[str, ...]:
    """What the runtime says of its state; a GPU that lies idle is no part of it."""
    try:
        hints = (*await services.runtime.check(), *await services.answers.default_hints())
    except ApiError as error:
        hints = (error.detail,)
    return tuple(hint for hint in hints if hint != GPU_HINT)


def _leftovers(settings: Settings, repair: bool) -> list[Finding]:
    findings = []
    for path in leftovers(settings):
        if repair:
            path.unlink(missing_ok=True)
        text = f"File {path.parent.name}/{path.name} was left by a dead process."
        findings.append(Finding(text, repair))
    return findings


def _cards(services: Services) -> list[Finding]:
    """Files and batches whose cards cannot be read are in no list."""
    unreadable = [
        *(("file", id) for id in services.files.unreadable()),
        *(("batch", id) for id in services.batches.unreadable()),
        *(("table", id) for id in services.tables.unreadable()),
        *(("prediction", id) for id in services.predictions.unreadable()),
    ]
    return [
        Finding(
            f"The card of {what} {id} cannot be read. Put it right, or remove its folder.", False
        )
        for what, id in unreadable
    ]
