"""A GGUF file on its way into Ollama: hashed, then sent unless the server has it."""

import hashlib
from pathlib import Path

from api.errors import Unusable
from api.runtime.ollama.client import OllamaClient
from api.runtime.ollama.errors import Lost
from api.runtime.threads import in_thread

_STEP_BYTES = 32 * 2**20


async def upload(client: OllamaClient, path: Path) -> str:
    """Bring a file to the server; the digest that it has there."""
    try:
        digest = await _digest(path)
        if not await client.has_blob(digest):
            await _send(client, digest, path)
    except OSError as error:  # the client's own are translated
        raise Unusable(f"The GGUF file cannot be read: {error.strerror}.") from error
    return digest


async def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := await in_thread(file.read, _STEP_BYTES):
            await in_thread(digest.update, part)
    return f"sha256:{digest.hexdigest()}"


async def _send(client: OllamaClient, digest: str, path: Path) -> None:
    try:
        await client.upload(digest, path)
    except Lost:  # also when another has sent it meanwhile: the server hangs up
        if not await client.has_blob(digest):
            raise
