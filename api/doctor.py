"""`llm-fastapi doctor`: holds database, indexes, files, models and job folders against each other."""

import contextlib
import shutil
from collections.abc import Callable
from typing import TypeVar

import anyio.to_thread

from api.app import open_services
from api.data_folder import DataFolder
from api.documents.doctor import examine as examine_documents
from api.jobs.doctor import examine as examine_jobs
from api.names import model_key
from api.services import Services
from api.settings import Settings
from api.store import open_store

Finding = tuple[str, bool]
"""What is off, and whether it was put right."""

T = TypeVar("T")


async def examine(settings: Settings, *, repair: bool) -> list[Finding]:
    """Everything that is off; the data folder must be nobody's. `errors.CannotStart` otherwise."""
    folder = DataFolder(settings.data_dir)
    try:
        store = open_store(settings.database_path)
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(store.close)
            services = await open_services(settings, store, stack)
            return [
                *await _in_thread(lambda: _database(services)),
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


def _database(services: Services) -> list[Finding]:
    problems = services.store.database.integrity_problems()
    return [(f"Database: {problem}. Restore it from a backup.", False) for problem in problems]


async def _models(services: Services, repair: bool) -> list[Finding]:
    """A record whose model the runtime does not have is nobody's; a model needs sound weights."""
    infos = await services.runtime.models()
    existing = {model_key(info.name) for info in infos}
    records = await _in_thread(services.store.models.all)
    findings = [
        (
            f"The file of model {info.name} is missing or damaged. Create it again or delete it.",
            False,
        )
        for info in infos
        if not info.size_bytes
    ]
    for key, record in records.items():
        if key not in existing:
            if repair:
                await anyio.to_thread.run_sync(services.store.models.remove, record.name)
            findings.append((f"Model {record.name} is recorded and does not exist.", repair))
    return findings


def _leftovers(settings: Settings, repair: bool) -> list[Finding]:
    findings = []
    for folder in (settings.uploads_dir, settings.converting_dir):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if repair:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            findings.append((f"File {folder.name}/{path.name} was left by a dead process.", repair))
    return findings
