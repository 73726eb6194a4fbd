"""Ollama's client with the calls that it makes no method for, and without what it takes from the environment."""

import base64
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
from ollama import AsyncClient, ResponseError

from api.runtime.ollama.connections import Connections, lines, to_the_end

JSONObject = Mapping[str, Any]


class Transport(AsyncClient):
    """Connections to one address, which may hold a name and a password; `ValueError` when it names no host."""

    def __init__(self, url: str, *, connect_seconds: float) -> None:
        address = urlsplit(url if "://" in url else f"http://{url}")
        if not address.hostname:
            raise ValueError("it names no host")
        super().__init__(
            url,
            timeout=httpx.Timeout(None, connect=connect_seconds),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            follow_redirects=False,
            trust_env=False,
        )
        headers = self._client.headers
        headers.pop("authorization", None)  # OLLAMA_API_KEY is not for this server
        user, password = unquote(address.username or ""), unquote(address.password or "")
        if user or password:
            said = base64.b64encode(f"{user}:{password}".encode()).decode()
            headers["authorization"] = f"Basic {said}"
        self._connect_seconds = connect_seconds
        self._streams = Connections(self._client.base_url, headers)

    async def send(self, method: str, path: str, **content: Any) -> Any:
        """Any call; the client's errors."""
        return await self._request_raw(method, path, **content)  # type: ignore[no-untyped-call]

    async def ask(self, method: str, path: str, body: JSONObject | None = None) -> JSONObject:
        """A call whose answer is one JSON object."""
        return dict((await self.send(method, path, json=body)).json())

    async def parts(self, path: str, body: JSONObject) -> AsyncGenerator[JSONObject, None]:
        """A call whose answer is a line of JSON after the other, each told as it comes, the last line of an answer when
        the server has ended it too. The client's errors, and those of httpcore.
        """
        asked = json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
        async with self._streams.post(path, asked, self._connect_seconds) as answer:
            if not httpx.codes.is_success(answer.status):
                raise ResponseError((await answer.aread()).decode(errors="replace"), answer.status)
            async with aclosing(lines(answer)) as said:
                async for line in said:
                    part = json.loads(line)
                    if error := part.get("error"):
                        raise ResponseError(error)
                    if part.get("done"):
                        await to_the_end(said)
                    yield part

    async def close(self) -> None:
        """Close all connections."""
        await self._streams.close()
        await self._client.aclose()
