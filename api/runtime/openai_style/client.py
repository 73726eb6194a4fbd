"""Speaks HTTP with one server on OpenAI's wire: key, bounds of time, what is tried again, and its failures as ours."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2

from api.errors import ApiError, BackEndFailed, Unavailable, Unusable
from api.runtime.openai_style.refusals import BackEndSilent, refusal, seconds_of
from api.runtime.openai_style.transport import JudgedTransport, network

JSONObject = Mapping[str, Any]
LONGEST_WAIT_SECONDS = 60
"""A server that asks for more than that before it is asked again is not waited for."""
_FIRST_WAIT_SECONDS = 0.5
_END_SECONDS = 1.0
"""How long a server may keep a stream open after it has said that it ends."""
_MOST_BYTES = 64 * 2**20
"""Of an answer that is no stream."""
_MOST_LINE_BYTES = 4 * 2**20
"""Of one line of a stream, which is held until its end has come."""
_AGAIN = frozenset({408, 429, 500, 502, 503, 504, 529})
_HUNG_UP = (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError)
"""Among them a kept connection that was closed meanwhile, with a word or without."""
_LOST = (httpx2.ConnectError, httpx2.ConnectTimeout, *_HUNG_UP)
_UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"
_AT_ONCE_SECONDS = 0.5
"""A kept connection is known so soon to be closed. A server that hangs up later may have worked, and charge for it."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How often a request is tried again before its first byte, and how long what may take, in seconds."""

    retries: int = 3
    connect_seconds: float = 10.0
    first_token_seconds: float = 120.0
    idle_seconds: float = 60.0
    total_seconds: float = 1800.0


class OpenAIClient:
    """The calls that the runtime needs, of one back end. `key` is asked for each: a new one holds from then on."""

    def __init__(
        self,
        name: str,
        base_url: str,
        key: Callable[[], str],
        *,
        key_header: str = "Authorization",
        bounds: Bounds | None = None,
        ca_file: Path | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`ca_file` holds CAs that are believed beside the public ones; `transport` is one to go over instead of the
        network's.
        """
        self.name = name
        self.base_url = base_url
        self.fault = ""
        """What was the matter with the last call; empty after one that was answered."""
        self._key = key
        self._key_header = key_header
        self._bounds = bounds or Bounds()
        self._sleep = sleep
        self._open = 0
        self._is_retired = False
        self._ca_file = ca_file
        self._transport = transport
        self._http = self._connections()

    @property
    def open(self) -> int:
        """Calls that are under way."""
        return self._open

    async def get(
        self, path: str, *, from_root: bool = False, within_seconds: float | None = None
    ) -> JSONObject:
        """An answer to a question without a body; asked once alone where it is to come `within_seconds`."""
        request = self._request("GET", path, None, from_root)
        bounds = self._bounds
        if within_seconds is not None:
            bounds = replace(bounds, retries=0, total_seconds=within_seconds)
        return await self._whole(request, "", bounds)

    async def post(
        self, path: str, body: JSONObject, model: str = "", *, from_root: bool = False
    ) -> JSONObject:
        """An answer that comes at once; `from_root` beside `/v1` and not below it."""
        return await self._whole(self._request("POST", path, body, from_root), model, self._bounds)

    async def stream(
        self, path: str, body: JSONObject, model: str
    ) -> AsyncGenerator[JSONObject, None]:
        """The chunks of a streamed answer; closing the iterator ends the request."""
        bounds, clock = self._bounds, asyncio.get_running_loop().time
        ends = clock() + bounds.total_seconds
        request = self._request("POST", path, {**body, "stream": True}, from_root=False)
        async with self._translated():
            answer = await self._opened(request, model, bounds, ends)
            async with aclosing(answer), aclosing(_lines(answer)) as lines:
                patience = bounds.first_token_seconds
                while True:
                    async with asyncio.timeout(_least(patience, ends - clock())):
                        line = await anext(lines, None)
                    if line is None or line.removeprefix(b"data:").strip() == b"[DONE]":
                        break
                    if not line.startswith(b"data:"):
                        continue
                    patience = bounds.idle_seconds
                    said = line.removeprefix(b"data:")
                    chunk = _parsed(said)
                    if chunk.get("error"):
                        raise self._refusal(model, _status_of(chunk["error"]), said)
                    yield chunk
                # read to its end, a connection can be used again
                with suppress(TimeoutError, httpx2.HTTPError):
                    async with asyncio.timeout(_END_SECONDS):
                        while await anext(lines, None) is not None:
                            pass

    async def retire(self) -> None:
        """Close the connections once nothing is under way. Whoever comes later is still answered, over new ones."""
        self._is_retired = True
        if not self._open:
            await self._drop_connections()

    async def close(self) -> None:
        """Close the connections now."""
        await self._http.aclose()

    async def _whole(self, request: httpx2.Request, model: str, bounds: Bounds) -> JSONObject:
        clock = asyncio.get_running_loop().time
        ends = clock() + bounds.total_seconds
        async with self._translated():
            async with aclosing(await self._opened(request, model, bounds, ends)) as answer:
                async with asyncio.timeout(_least(bounds.first_token_seconds, ends - clock())):
                    content = await _read(answer)
            parsed = _parsed(content)
            if not isinstance(parsed, dict):
                raise TypeError("no object")
            return parsed

    async def _opened(
        self, request: httpx2.Request, model: str, bounds: Bounds, ends: float
    ) -> httpx2.Response:
        """The answer's head, which is a success; tried again as long as not a byte of it has come."""
        clock = asyncio.get_running_loop().time
        for tried in range(bounds.retries + 1):
            wait = _FIRST_WAIT_SECONDS * 2**tried * (0.75 + random.random() / 2)  # noqa: S311
            left, began = bounds.retries - tried, clock()
            try:
                async with asyncio.timeout(_least(bounds.first_token_seconds, ends - clock())):
                    answer = await self._http.send(_copy(request), stream=True)
            except _LOST as error:
                hung_up = isinstance(error, _HUNG_UP)
                may_have_worked = hung_up and clock() - began > _AT_ONCE_SECONDS
                is_in_vain = may_have_worked or _UNTRUSTED in str(error)
                if is_in_vain or not left or clock() + wait > ends:
                    raise
            else:
                if answer.status_code == httpx2.codes.OK:
                    return answer
                async with aclosing(answer):
                    async with asyncio.timeout(_least(bounds.idle_seconds, ends - clock())):
                        said = await _read(answer)
                retry_after = answer.headers.get("retry-after", "")
                wait = max(wait, seconds_of(retry_after) or 0)
                may_wait = wait <= LONGEST_WAIT_SECONDS and clock() + wait <= ends
                if answer.status_code not in _AGAIN or not left or not may_wait:
                    raise self._refusal(model, answer.status_code, said, retry_after)
            await self._sleep(wait)
        raise AssertionError("the last try returns or raises")

    def _connections(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            transport=JudgedTransport(self._transport or network(self._ca_file)),
            timeout=httpx2.Timeout(None, connect=self._bounds.connect_seconds),
            follow_redirects=False,
            trust_env=False,
        )

    async def _drop_connections(self) -> None:
        dropped, self._http = self._http, self._connections()
        await dropped.aclose()

    def _request(
        self, method: str, path: str, body: JSONObject | None, from_root: bool
    ) -> httpx2.Request:
        base = self.base_url.removesuffix("/v1") if from_root else self.base_url
        headers = {"Accept": "application/json, text/event-stream"}
        if key := self._key():
            is_bearer = self._key_header == "Authorization"
            headers[self._key_header] = f"Bearer {key}" if is_bearer else key
        try:
            return self._http.build_request(method, base + path, json=body, headers=headers)
        except UnicodeEncodeError as error:
            raise Unusable(
                "The text holds half of a surrogate pair; send valid Unicode."
            ) from error

    def _refusal(self, model: str, status: int, said: bytes, retry_after: str = "") -> ApiError:
        return refusal(self.name, model, status, said, retry_after, key=self._key())

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        self._open += 1
        try:
            yield
            self.fault = ""
        except ApiError as error:
            self.fault = error.detail if error.status >= 500 else ""
            raise
        except TimeoutError as error:
            raise self._failed(
                BackEndSilent(f"The back end {self.name!r} said nothing for too long.")
            ) from error
        except httpx2.UnsupportedProtocol as error:
            raise self._failed(BackEndFailed(f"The back end {self.name!r}: {error}")) from error
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise self._failed(self._unreached(str(error))) from error
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise self._failed(
                BackEndFailed(f"The back end {self.name!r} broke off its answer. Ask again.")
            ) from error
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise self._failed(
                BackEndFailed(f"The back end {self.name!r} gave an answer that is no JSON of ours.")
            ) from error
        finally:
            self._open -= 1
            if self._is_retired and not self._open:
                await self._drop_connections()

    def _unreached(self, why: str) -> ApiError:
        if _UNTRUSTED in why:
            return BackEndFailed(
                f"The back end {self.name!r} has a certificate that is not believed "
                f"({why.rpartition(': ')[2][:200]}). Where a CA of your own has signed it, name its file in "
                "LLM_FASTAPI_CA_FILE."
            )
        return Unavailable(f"The back end {self.name!r} cannot be reached.")

    def _failed(self, error: ApiError) -> ApiError:
        self.fault = error.detail
        return error


def _least(seconds: float, left: float) -> float:
    return max(0.0, min(seconds, left))


def _copy(request: httpx2.Request) -> httpx2.Request:
    """One to be sent: the transport writes an address into it."""
    return httpx2.Request(
        request.method, request.url, headers=request.headers, content=request.content
    )


async def _lines(answer: httpx2.Response) -> AsyncGenerator[bytes, None]:
    """The lines of a stream. They end at line feeds alone: what else ends a line in Unicode may stand within JSON."""
    begun = b""
    async with aclosing(answer.aiter_bytes()) as parts:
        async for part in parts:
            *whole, begun = (begun + part).split(b"\n")
            for line in whole:
                yield line.removesuffix(b"\r")
            if len(begun) > _MOST_LINE_BYTES:
                raise BackEndFailed(
                    f"A back end sent a line of more than {_MOST_LINE_BYTES} bytes in a stream."
                )
    if begun:
        yield begun


async def _read(answer: httpx2.Response) -> bytes:
    content = bytearray()
    async for part in answer.aiter_bytes():
        content += part
        if len(content) > _MOST_BYTES:
            raise BackEndFailed(f"A back end answered with more than {_MOST_BYTES} bytes.")
    return bytes(content)


def _parsed(content: bytes) -> Any:
    """JSON whose texts can be written down again: half a character, as where a server cuts one in two, becomes a mark
    that one is missing.
    """
    parsed = json.loads(content)
    if b"\\u" in content or b"\xed" in content:  # else nobody wrote one
        text = json.dumps(parsed, ensure_ascii=False)
        return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    return parsed


def _status_of(error: Any) -> int:
    """The status of an error within a stream."""
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code < 600 else 502
