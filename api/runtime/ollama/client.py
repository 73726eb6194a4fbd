"""Speaks HTTP with one Ollama server through its client, and turns every failure into ours.

The client waits without end and takes a stream that breaks off for a whole one; its typed calls know no `truncate`,
no system prompt of a model and no blobs. What it lacks goes through its own transport.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import TypeVar

import anyio
import httpcore
import httpx
from ollama import ResponseError

from api.errors import ApiError, BackEndFailed, Unavailable, Unusable
from api.runtime.ollama.errors import (
    ANOTHER_SERVER,
    Lost,
    creation_refusal,
    embedding_refusal,
    refusal,
)
from api.runtime.ollama.patience import Patience
from api.runtime.ollama.transport import JSONObject, Transport
from finetune.job.device import Device

T = TypeVar("T")
CONNECT_SECONDS = 30
"""Long, since a thousand requests that begin at once wait for one another; who is not there refuses at once."""
ANSWER_SECONDS = 30
CREATE_SECONDS = 3600
_RETRY_AFTER_SECONDS = 0.3
_STEP_BYTES = 2**20
_LOST = (
    *(ConnectionError, httpx.NetworkError, httpx.RemoteProtocolError),
    *(httpcore.NetworkError, httpcore.RemoteProtocolError),
)
_UNREACHABLE = "Ollama at {} cannot be reached. Check that it runs, and LLM_FASTAPI_OLLAMA_URL."
_SILENT = "Ollama at {} said nothing for too long. If it is only slow, raise LLM_FASTAPI_MODEL_START_SECONDS."
Refusal = Callable[[int, str, str], ApiError]


class OllamaClient:
    """The calls that the runtime needs. `stall_seconds` is the longest silence of a server that owes an answer,
    and `start_seconds` what loading a model may add to it.
    """

    def __init__(self, url: str, *, start_seconds: float, stall_seconds: float = 120) -> None:
        self._stall_seconds = stall_seconds
        self._first_seconds = start_seconds + stall_seconds
        self._patience = Patience()
        try:
            self._ollama = Transport(url, connect_seconds=CONNECT_SECONDS)
        except (ValueError, httpx.InvalidURL) as error:
            raise Unavailable(f"LLM_FASTAPI_OLLAMA_URL is no address: {error}.") from error
        self._address = url.rpartition("@")[2]  # without a password

    async def version(self) -> str:
        """The server's version; the cheapest sign of life."""
        answer = await self._safe(lambda: self._ollama.ask("GET", "/api/version"))
        return str(answer.get("version", ""))

    async def tags(self) -> list[JSONObject]:
        """The models that there are, briefly."""
        answer = await self._safe(lambda: self._ollama.ask("GET", "/api/tags"))
        return list(answer.get("models") or ())

    async def show(self, name: str, *, verbose: bool = False) -> JSONObject:
        """All that the server says of a model; with `verbose`, its vocabulary too."""
        body = {"model": name, "verbose": verbose}
        return await self._safe(lambda: self._ollama.ask("POST", "/api/show", body), name)

    async def loaded(self, device: Device | None = None) -> list[str]:
        """Names of the models that are loaded, of those that lie on a device at least in part."""
        answer = await self._safe(self._ollama.ps)
        return [
            str(model.model or model.name)
            for model in answer.models
            if device is None or _lies_on(device, int(model.size or 0), int(model.size_vram or 0))
        ]

    async def unload(self, name: str) -> None:
        """Free a model's memory, once its open requests are done."""
        await self._safe(lambda: self._ollama.generate(name, keep_alive=0), name)

    async def copy(self, name: str, new_name: str) -> None:
        """Give a model a second name, over another model that has it."""
        await self._once(lambda: self._ollama.copy(name, new_name), name)

    async def delete(self, name: str) -> None:
        """Delete a model."""
        await self._once(lambda: self._ollama.delete(name), name)

    async def embed(
        self, name: str, texts: list[str], options: JSONObject, keep_alive: float
    ) -> list[list[float]]:
        """One vector a text; `TextTooLong` where one would be cut."""

        async def ask() -> list[list[float]]:
            async with self._patience.wait(self._first_seconds):
                answer = await self._ollama.embed(
                    name, texts, truncate=False, options=options, keep_alive=keep_alive
                )
            self._patience.heard()
            return [list(vector) for vector in answer.embeddings]

        return await self._safe(ask, name, seconds=None, refused=embedding_refusal)

    async def stream(self, path: str, body: JSONObject) -> AsyncGenerator[JSONObject, None]:
        """The lines of an answer; closing the iterator stops the generation."""
        for attempt in (1, 2):
            heard = False
            try:
                with self._translated(body["model"]):
                    async with aclosing(self._parts(path, body)) as parts:
                        async for part in parts:
                            heard = True
                            yield part
                return
            except Lost as error:
                if heard:
                    raise BackEndFailed(
                        "The connection to Ollama broke in the middle of the answer. Ask again."
                    ) from error
                if attempt == 2:
                    raise
            await asyncio.sleep(_RETRY_AFTER_SECONDS)

    async def _parts(self, path: str, body: JSONObject) -> AsyncGenerator[JSONObject, None]:
        """The lines, each within its bound of time. Only the first waits in a queue, behind answers of any model."""
        async with aclosing(self._ollama.parts(path, {**body, "stream": True})) as parts:
            async with self._patience.wait(self._first_seconds):
                part = await anext(parts, None)
            while part is not None:
                self._patience.heard()
                yield part
                async with asyncio.timeout(self._stall_seconds):
                    part = await anext(parts, None)

    async def whole(self, path: str, body: JSONObject) -> JSONObject:
        """An answer in one piece."""

        async def ask() -> JSONObject:
            async with self._patience.wait(self._first_seconds):
                answer = await self._ollama.ask("POST", path, {**body, "stream": False})
            self._patience.heard()
            return answer

        return await self._safe(ask, body["model"], seconds=None)

    async def create(self, name: str, body: JSONObject) -> None:
        """Have the server create a model. Broken off, it may make the model all the same, now or later."""
        status = ""
        with self._translated(name, creation_refusal):
            body = {**body, "model": name, "stream": True}
            async with aclosing(self._ollama.parts("/api/create", body)) as steps:
                while True:
                    async with asyncio.timeout(CREATE_SECONDS):
                        step = await anext(steps, None)
                    if step is None:
                        break
                    status = str(step.get("status"))
        if status != "success":
            raise BackEndFailed("Ollama broke the creation off without saying why. Try again.")

    async def has_blob(self, digest: str) -> bool:
        """Whether the server has a file of this digest."""

        async def ask() -> bool:
            try:
                await self._ollama.send("HEAD", f"/api/blobs/{digest}")
            except ResponseError as error:
                if error.status_code == httpx.codes.NOT_FOUND:
                    return False
                raise
            return True

        return await self._safe(ask)

    async def upload(self, digest: str, path: Path) -> None:
        """Send a file that the server has not."""
        patience = Patience()

        async def content() -> AsyncIterator[bytes]:
            async with await anyio.open_file(path, "rb") as file:
                while part := await file.read(_STEP_BYTES):
                    yield part
                    patience.heard()

        with self._translated("", creation_refusal):
            async with patience.wait(self._first_seconds):
                await self._ollama.send("POST", f"/api/blobs/{digest}", content=content())

    async def close(self) -> None:
        """Close all connections."""
        await self._ollama.close()

    async def _safe(
        self,
        call: Callable[[], Awaitable[T]],
        model: str = "",
        seconds: float | None = ANSWER_SECONDS,
        refused: Refusal = refusal,
    ) -> T:
        """A call that may be made twice: once more when its connection was refused or lost."""
        try:
            return await self._once(call, model, seconds, refused)
        except Lost:
            await asyncio.sleep(_RETRY_AFTER_SECONDS)
        return await self._once(call, model, seconds, refused)

    async def _once(
        self,
        call: Callable[[], Awaitable[T]],
        model: str,
        seconds: float | None = ANSWER_SECONDS,
        refused: Refusal = refusal,
    ) -> T:
        with self._translated(model, refused):
            async with asyncio.timeout(seconds):
                return await call()

    @contextmanager
    def _translated(self, model: str, refused: Refusal = refusal) -> Iterator[None]:
        """Foreign exceptions as ours."""
        try:
            yield
        except ResponseError as error:
            raise refused(error.status_code, str(error.error), model) from error
        except _LOST as error:
            raise Lost(_UNREACHABLE.format(self._address)) from error
        except (httpx.ConnectTimeout, httpcore.ConnectTimeout) as error:
            raise Unavailable(_UNREACHABLE.format(self._address)) from error
        except (TimeoutError, httpx.TimeoutException, httpcore.TimeoutException) as error:
            raise Unavailable(_SILENT.format(self._address)) from error
        except UnicodeEncodeError as error:
            raise Unusable(
                "The text holds half of a surrogate pair; send valid Unicode."
            ) from error
        except (
            *(httpx.HTTPError, httpcore.ProtocolError),
            *(ValueError, KeyError, TypeError, AttributeError),
        ) as error:
            raise BackEndFailed(ANOTHER_SERVER.format("what it sends is no JSON")) from error


def _lies_on(device: Device, size: int, size_on_gpus: int) -> bool:
    return size_on_gpus > 0 if device == "gpu" else size_on_gpus < size
