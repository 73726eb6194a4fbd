"""Base models that wait as GGUF files, on their way into the runtime: one at a time, each over an earlier one."""

import asyncio
import logging

import anyio.to_thread

from api.errors import ApiError, BackEndFailed, NameTaken
from api.models.bases import BaseModels, WaitingBase
from api.names import model_key
from api.runtime import GGUFFile, ModelRuntime, Persona
from api.store.models import Models

LOGGER = logging.getLogger("api.models.waiting")


class WaitingBases:
    """Those of all workspaces, which the first one has."""

    def __init__(self, runtime: ModelRuntime, records: Models, base_models: BaseModels) -> None:
        self._runtime = runtime
        self._records = records
        self._base_models = base_models
        self._taking_in = asyncio.Lock()

    async def take_in_all(self) -> None:
        """Bring the base models that wait as GGUF files into the runtime; one that fails goes on waiting."""
        for base in await anyio.to_thread.run_sync(self._base_models.waiting):
            try:
                await self.take_in(base.name)
            except ApiError as error:
                LOGGER.warning("base model %s was not taken in: %s", base.name, error.detail)

    async def take_in(self, name: str) -> bool:
        """Bring the base model of that name into the runtime, over an earlier one; whether its file waited."""
        if not await self._waiting(name):
            return False
        async with self._taking_in:
            for base in await self._waiting(name):  # again: another call may have brought it
                await self._place(base)
        return True

    async def _waiting(self, name: str) -> list[WaitingBase]:
        waiting = await anyio.to_thread.run_sync(self._base_models.waiting)
        return [base for base in waiting if model_key(base.name) == model_key(name)]

    async def _place(self, base: WaitingBase) -> None:
        if await anyio.to_thread.run_sync(self._records.get, base.name):
            raise NameTaken(
                f"{base.file.name} waits among the base models, and {base.name!r} is a persona or a "
                "fine-tune. Delete that, or load the base under another --name."
            )
        LOGGER.info("taking the base model %s in", base.name)
        source = GGUFFile(base.file, projector=base.projector)
        await self._runtime.create_model(base.name, source, Persona(), replace=True)
        try:
            await anyio.to_thread.run_sync(self._base_models.taken_in, base)
        except OSError as error:
            raise BackEndFailed(
                f"{base.file.name} was taken in and cannot be removed ({error.strerror}). Remove it."
            ) from error
