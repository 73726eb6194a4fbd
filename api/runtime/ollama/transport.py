"""Ollama's client with the calls that it makes no method for, and without what it takes from the environment."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from ollama import AsyncClient

JSONObject = Mapping[str, Any]


class Transport(AsyncClient):
    """Connections to one address, which may hold a name and a password; `ValueError` when it names no host."""

    def __init__(self, url: str, **limits: Any) -> None:
        address = urlsplit(url if "://" in url else f"http://{url}")
        if not address.hostname:
            raise ValueError("it names no host")
        user, password = unquote(address.username or ""), unquote(address.password or "")
        auth = (user, password) if user or password else None
        super().__init__(url, auth=auth, follow_redirects=False, trust_env=False, **limits)
        # OLLAMA_API_KEY is not for this server
        self._client.headers.pop("authorization", None)

    async def send(self, method: str, path: str, **content: Any) -> Any:
        """Any call; the client's errors."""
        return await self._request_raw(method, path, **content)  # type: ignore[no-untyped-call]

    async def ask(self, method: str, path: str, body: JSONObject | None = None) -> JSONObject:
        """A call whose answer is one JSON object."""
        return dict((await self.send(method, path, json=body)).json())

    async def parts(self, path: str, body: JSONObject) -> AsyncGenerator[JSONObject, None]:
        """A call whose answer is a line of JSON after the other."""
        parts = await self._request(dict, "POST", path, json=body, stream=True)
        async with aclosing(cast(AsyncGenerator[JSONObject, None], parts)) as lines:
            async for line in lines:
                yield line
