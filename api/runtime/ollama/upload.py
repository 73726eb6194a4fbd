"""A GGUF file on its way into Ollama: hashed, then sent unless the server has it."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from api.errors import Unusable
from api.runtime import Progress
from api.runtime.ollama.client import Lost, OllamaClient
from api.runtime.threads import in_thread

_STEP_BYTES = 32 * 2**20
_TELL_SECONDS = 0.5


class Upload:
    """Iterate over `steps` to their end; then the server has the file under `digest`."""

    def __init__(self, client: OllamaClient, path: Path) -> None:
        self.digest = ""
        self._client = client
        self._path = path
        self._sent_bytes = 0

    async def steps(self) -> AsyncGenerator[Progress, None]:
        """How far it is; closing the iterator breaks it off."""
        try:
            async with aclosing(self._hash()) as steps:
                async for step in steps:
                    yield step
            if await self._client.has_blob(self.digest):
                return
            async with aclosing(self._send()) as steps:
                async for step in steps:
                    yield step
        except OSError as error:  # the client's own are translated
            raise Unusable(f"The GGUF file cannot be read: {error.strerror}.") from error

    async def _hash(self) -> AsyncGenerator[Progress, None]:
        digest, done = hashlib.sha256(), 0
        total = self._path.stat().st_size
        with self._path.open("rb") as file:
            while part := await in_thread(file.read, _STEP_BYTES):
                await in_thread(digest.update, part)
                done += len(part)
                yield Progress("reading", done, max(done, total))
        self.digest = f"sha256:{digest.hexdigest()}"

    async def _send(self) -> AsyncGenerator[Progress, None]:
        total = self._path.stat().st_size
        sending = asyncio.create_task(self._client.upload(self.digest, self._path, self._count))
        try:
            while not sending.done():
                await asyncio.wait([sending], timeout=_TELL_SECONDS)
                yield Progress("uploading", min(self._sent_bytes, total), total)
            await sending
        except Lost:  # also when another has sent it meanwhile: the server hangs up
            if not await self._client.has_blob(self.digest):
                raise
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    def _count(self, sent: int) -> None:
        self._sent_bytes += sent
