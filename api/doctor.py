"""`llm-fastapi doctor`: holds database, indexes, files, models and job folders against each other."""

import contextlib
import shutil
from collections.abc import Callable
from typing import TypeVar

import anyio.to_thread

from api.data_folder import DataFolder
from api.documents.doctor import examine as examine_documents
from api.errors import ApiError, Finding
from api.jobs.doctor import examine as examine_jobs
from api.names import model_key
from api.opening import open_services
from api.runtime.llama_cpp.devices import GPU_HINT
from api.services import Services
from api.settings import Settings
from api.store import Store, open_store

T = TypeVar("T")


async def examine(settings: Settings, *, repair: bool) -> list[Finding]:
    """Everything that is off; the data folder must be nobody's. `errors.CannotStart` otherwise."""
    folder = DataFolder(settings.data_dir)
    try:
        store = open_store(settings.database_path)
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(store.close)
            if damage := await _in_thread(lambda: _damage(store)):
                return damage  # nothing else can be told by it
            services = await open_services(settings, store, stack)
            return [
                *await examine_documents(
                    services.store, services.index, settings.documents_dir, repair=repair
                ),
                *await _in_thread(
                    lambda: examine_jobs(services.store, settings.jobs_dir, repair=repair)
                ),
                *await _models(services, repair),
                *await _in_thread(lambda: _leftovers(settings, repair)),
            ]
    finally:
        folder.release()


async def _in_thread(work: Callable[[], T]) -> T:
    return await anyio.to_thread.run_sync(work)


def _damage(store: Store) -> list[Finding]:
    try:
        problems = store.database.integrity_problems()
    except ApiError as error:
        return [Finding(error.detail, False)]
    return [
        Finding(f"Database: {problem}. Restore it from a backup.", False) for problem in problems
    ]


async def _models(services: Services, repair: bool) -> list[Finding]:
    """A record whose model the runtime does not have is nobody's; a model needs sound weights."""
    infos = await services.runtime.models()
    existing = {model_key(info.name) for info in infos}
    records = await _in_thread(services.store.models.all)
    hints = await _hints(services)
    findings = [Finding(hint, False) for hint in hints]
    findings += [
        Finding(f"The file of model {info.name!r} is damaged. Create it again or delete it.", False)
        for info in infos
        if not info.size_bytes and repr(info.name) not in " ".join(hints)
    ]
    is_sure = repair and not any("cannot be read" in hint for hint in hints)  # it may be that one
    for key, record in records.items():
        if key not in existing:
            if is_sure:
                await anyio.to_thread.run_sync(services.store.models.remove, record.name)
            text = f"Model {record.name} is recorded and does not exist."
            findings.append(Finding(text, is_sure))
    return findings


async def _hints(services: Services) -> tuple[str, ...]:
    """What the runtime says of its state; a GPU that lies idle is no part of it."""
    try:
        hints = await services.runtime.check()
    except ApiError as error:
        hints = (error.detail,)
    return tuple(hint for hint in hints if hint != GPU_HINT)


def _leftovers(settings: Settings, repair: bool) -> list[Finding]:
    findings = []
    for folder in (settings.uploads_dir, settings.converting_dir):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if repair:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            findings.append(
                Finding(f"File {folder.name}/{path.name} was left by a dead process.", repair)
            )
    return findings
