"""The runtime over a server that is started here: one on OpenAI's wire, whose memory can be had back."""

import asyncio
from contextlib import suppress

from api.backends.server import Server
from api.runtime.openai_style.client import OpenAIClient
from api.runtime.openai_style.dialect import Dialect
from api.runtime.openai_style.directory import Directory
from api.runtime.openai_style.runtime import OpenAIStyleRuntime
from api.runtime.threads import in_thread
from finetune.job.device import Device

ADDRESS = "http://127.0.0.1/v1"
"""Where its server is, but for the port, which is another one at each start."""
DRAIN_SECONDS = 30.0
_LOOK_SECONDS = 0.05


class LaunchedRuntime(OpenAIStyleRuntime):
    """`ModelRuntime` over the server of one back end. Who made the server ends it."""

    def __init__(
        self, client: OpenAIClient, dialect: Dialect, directory: Directory, server: Server
    ) -> None:
        super().__init__(client, dialect, directory)
        self._server = server
        server.asked_by(client)

    @property
    def fault(self) -> str:
        """What is the matter with the server, or was with the last call to it."""
        return self._server.fault or super().fault

    async def release_memory(self, device: Device | None = None) -> None:
        """Stop the server, where it lies on that device. The next call starts it."""
        if device in (None, self._server.device):
            await self.stop_server()

    async def stop_server(self) -> None:
        """Stop the server once what is under way has ended, or after half a minute."""
        self._server.leave()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_SECONDS):
                    while self._server.open:
                        await asyncio.sleep(_LOOK_SECONDS)
        finally:
            await self._server.stop()

    async def check(self) -> tuple[str, ...]:
        """A hint where the server has died, or could not be started. None is started to be asked."""
        hint = self._server.fault or await in_thread(self._server.unstartable)
        return (hint,) if hint else ()
