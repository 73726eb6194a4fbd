"""Behind a proxy: who called it, and under which path it serves us. Believed of trusted proxies alone."""

import re
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from api.settings import Settings
from api.settings.values import ROOT_PATH


class Forwarded:
    """ASGI middleware: the caller's address from `X-Forwarded-For`, and each `Location` under the proxy's path.

    That path is the setting's, or what a trusted proxy says in `X-Forwarded-Prefix`.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._root_path = settings.root_path
        inner: Any = app  # uvicorn has types of its own for the same things
        self._believing: Any = ProxyHeadersMiddleware(inner, list(settings.trusted_proxies))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on as its caller made it."""
        if scope["type"] == "http" and (prefix := self._root_path or self._said_by_proxy(scope)):
            send = _under(prefix, send)
        await self._believing(scope, receive, send)

    def _said_by_proxy(self, scope: Scope) -> str:
        if not scope.get("client") or scope["client"][0] not in self._believing.trusted_hosts:
            return ""
        values = Headers(scope=scope).getlist("x-forwarded-prefix")  # one of each proxy on the way
        prefix = "".join(part.strip().rstrip("/") for v in values for part in v.split(","))
        return prefix if re.fullmatch(ROOT_PATH, prefix) else ""


def _under(prefix: str, send: Send) -> Send:
    async def prefixed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            if headers.get("location", "").startswith("/"):
                headers["location"] = prefix + headers["location"]
        await send(message)

    return prefixed
