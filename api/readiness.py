"""Asks every back end whether it is ready, each within a bound of time."""

import asyncio
import contextlib
from collections.abc import Awaitable

import anyio.to_thread

from api.errors import ApiError
from api.services import Services

ASK_SECONDS = 3.0


class Readiness:
    """What `/readyz` says: while the service opens, and from then on by asking."""

    def __init__(self) -> None:
        self.opening = "is starting"
        self.has_failed = False
        self.services: Services | None = None

    async def ask(self) -> tuple[dict[str, str], list[str]]:
        """The state of each back end by name (`ready`, or what is the matter), and hints."""
        services = self.services
        if services is None:
            return {"service": self.opening}, []
        hints: list[str] = []
        runtime, vectors, database, runner, _ = await asyncio.gather(
            _state(services.runtime.check(), hints),
            _state(services.index.check(), hints),
            _state(anyio.to_thread.run_sync(services.store.database.check), hints),
            _state(services.jobs.check(), hints),
            _state(services.answers.check(), hints),
        )
        models = {f"model {name}": state for name, state in services.bundled.states().items()}
        hints += (
            f"{note} `llm-fastapi doctor` says what to do." for note in services.folders.notes
        )
        states = {"database": database, "runtime": runtime, "index": vectors, "runner": runner}
        return {**states, **models}, hints

    async def embedder(self) -> str:
        """What embeds new collections, and how it is used; empty while that cannot be told."""
        with contextlib.suppress(TimeoutError, ApiError):
            async with asyncio.timeout(ASK_SECONDS):
                return await self.services.index.embedder.described() if self.services else ""
        return ""


async def _state(check: Awaitable[tuple[str, ...] | None], hints: list[str]) -> str:
    try:
        async with asyncio.timeout(ASK_SECONDS):
            hints.extend(await check or ())
    except TimeoutError:
        return f"does not answer within {ASK_SECONDS:.0f} s"
    except ApiError as error:
        return error.detail
    return "ready"
