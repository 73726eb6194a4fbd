"""What a new model is made of: files that come into the registry, or another model's, held until it is recorded."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from api.runtime import ExistingModel, GGUFFile, ModelSource
from api.runtime.gguf import check_projector
from api.runtime.llama_cpp.registry import Registry, check_file
from api.runtime.threads import in_thread

Release = Callable[[str], Awaitable[None]]


class Files(NamedTuple):
    """Names in the registry: the weights, and the projector of a model that sees."""

    blob: str
    projector: str = ""


@asynccontextmanager
async def held(registry: Registry, source: ModelSource, release: Release) -> AsyncIterator[Files]:
    """The files of a new model, which stay until the end, and after it where a model is made of them."""
    names: list[str] = []
    try:
        if isinstance(source, ExistingModel):
            names += [registry.hold(file) for file in registry.get(source.name).files]
        else:
            projector = source.projector if isinstance(source, GGUFFile) else None
            await in_thread(check_file, source.path)
            if projector:
                await in_thread(check_projector, projector)
            for path in filter(None, (source.path, projector)):
                names.append(await _received(registry, path, release))
        yield Files(*names)
    finally:
        for name in names:
            await release(name)


async def _received(registry: Registry, path: Path, release: Release) -> str:
    """Copy a file in, part by part; its name, which is held."""
    incoming = registry.receive(path)
    try:
        while await in_thread(incoming.copy_part):
            pass
        try:
            return await in_thread(registry.place, incoming)
        except BaseException:  # it is held from the first moment on
            await release(incoming.blob)
            raise
    finally:
        await in_thread(incoming.discard)
