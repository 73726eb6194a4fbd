"""`llm-fastapi clean`: deletes all documents, all vectors, the created models or the ended jobs, and nothing else.

What is to go is shown first, and goes by the same code as when the API deletes it.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from anyio.to_thread import run_sync

from api.data_folder import DataFolder
from api.errors import ModelNotFound
from api.index.embeddings import parts_of
from api.models.naming import is_live
from api.names import CHECKING, model_key
from api.opening import open_services
from api.runtime import ModelInfo
from api.services import Services
from api.settings import Settings
from api.store import open_store
from api.store.models import ModelRecord

What = Literal["documents", "vectors", "models", "jobs"]
Outcome = Literal["nothing there", "not agreed", "deleted"]
BYTES_A_NUMBER = 4


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that is to go."""

    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Sweep:
    """What is to go, and how."""

    items: Sequence[Item]
    delete: Callable[[], Awaitable[None]]


async def clean(
    settings: Settings,
    what: What,
    agreed: Callable[[Sequence[Item]], bool],
    *,
    bases: bool = False,
) -> Outcome:
    """Delete what `agreed` agrees to, which is not asked when nothing is there.

    The data folder must be nobody's (`errors.CannotStart`), and the back end that holds it must answer.
    """
    async with _opened(settings) as services:
        if what == "documents":
            sweep = await _documents(services)
        elif what == "vectors":
            sweep = await _vectors(services)
        elif what == "jobs":
            sweep = await _jobs(services)
        else:
            sweep = await _models(services, bases)
        if not sweep.items:
            return "nothing there"
        if not agreed(sweep.items):
            return "not agreed"
        await sweep.delete()
        return "deleted"


@contextlib.asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Services]:
    folder = DataFolder(settings.data_dir)
    try:
        store = open_store(settings.database_path)
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(store.close)
            yield await open_services(settings, store, stack, sweeps=False)
    finally:
        folder.release()


async def _documents(services: Services) -> Sweep:
    await services.index.check()
    documents = await run_sync(services.workspaces.store.documents.all)

    async def delete() -> None:
        await services.deleter.delete(documents)
        await services.deleter.settled()
        await services.index.repair()

    return Sweep([Item(one.name, one.size_bytes) for one in documents], delete)


async def _vectors(services: Services) -> Sweep:
    await services.index.check()
    counts = await services.index.dense.counts()
    named = services.workspaces.store.collections.names
    names = await run_sync(named, {one.collection for one in counts})
    return Sweep(
        [
            _of_set(names.get(one.collection, one.collection), one.embedder, count)
            for one, count in counts.items()
        ],
        services.index.dense.drop_all,
    )


def _of_set(collection: str, embedder: str, count: int) -> Item:
    dimension = parts_of(embedder)[1]
    return Item(f"{count} vectors of collection {collection}", count * dimension * BYTES_A_NUMBER)


async def _models(services: Services, bases: bool) -> Sweep:
    store, runtime = services.workspaces.store, services.workspaces.runtime
    records = await run_sync(store.models.all)
    existing = [
        info
        for info in await runtime.models()
        if bases or _is_created(info, records.get(model_key(info.name)))
    ]
    names = {model_key(info.name) for info in existing}
    lost = [one for key, one in records.items() if key not in names]

    async def delete() -> None:
        for name in [*(info.name for info in existing), *(one.name for one in lost)]:
            with contextlib.suppress(ModelNotFound):
                await runtime.delete_model(name)
            await run_sync(store.models.remove, name)

    items = [Item(info.name, info.size_bytes) for info in existing]
    return Sweep([*items, *(Item(one.name, 0) for one in lost)], delete)


def _is_created(info: ModelInfo, record: ModelRecord | None) -> bool:
    """Not a base; half-made ones, which are never listed, count too."""
    return record is not None or info.name.endswith(CHECKING)


async def _jobs(services: Services) -> Sweep:
    """Those that nothing is to become of any more; what they published stays."""
    every = await run_sync(services.workspaces.store.jobs.all)
    jobs = [job for job in every if not is_live(job)]

    def items() -> list[Item]:
        return [
            Item(
                f"{job.id} ({job.model_name}, {job.status})",
                size_of(services.settings.jobs_dir / job.id),
            )
            for job in jobs
        ]

    async def delete() -> None:
        for job in jobs:
            await services.of(job.workspace).jobs.delete(job.id)

    return Sweep(await run_sync(items), delete)


def size_of(folder: Path) -> int:
    """Bytes of all files of a folder; links are not followed."""
    return sum(path.lstat().st_size for path in folder.rglob("*"))
