"""The customer's path spellings: case, underscores and a trailing slash do not matter."""

from collections.abc import Iterable
from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send


def _key(segment: str) -> str:
    return segment.lower().replace("_", "")


class Spelling:
    """ASGI middleware that writes the first segment of a path as its route does.

    Only the first segment: a name further on (`/createModel/My_Model`) is the caller's own. A slash
    inside a name (`%2F`) stays encoded, so that it never cuts the name short.
    """

    def __init__(self, app: ASGIApp, paths: Iterable[str]) -> None:
        self._app = app
        first_segments = {path.split("/")[1] for path in paths}
        self._spellings = {_key(segment): segment for segment in first_segments}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under the route's own spelling."""
        if scope["type"] == "http":
            first, *rest = _segments(scope["raw_path"])
            if rest and rest[-1] == "":
                rest.pop()
            first = self._spellings.get(_key(first), first)
            scope["path"] = "/" + "/".join([first, *rest])
        await self._app(scope, receive, send)


def _segments(raw_path: bytes) -> list[str]:
    encoded = raw_path.decode("ascii", "replace").removeprefix("/").split("/")
    return [unquote(segment).replace("/", "%2F") for segment in encoded]
