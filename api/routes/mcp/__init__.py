"""/mcp: the documents for programs that speak the Model Context Protocol, over streamable HTTP without sessions."""

import anyio.to_thread
from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.request import get_services

router = APIRouter(prefix="/mcp", include_in_schema=False)

MOST_BYTES = 2**20
"""Of a message: the longest question and a thousand names fit. The library reads it whole on the event loop, which four
times as much of tiny values held up for seconds.
"""


class _Passed(Response):
    """What another app answers."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__()
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


@router.post("", operation_id="mcp")
async def mcp(http: Request) -> Response:
    """One message of the protocol, with all that belongs to it: no session to end, no stream to listen to."""
    most_bytes = min(MOST_BYTES, get_services(http).settings.max_body_bytes)
    return _Passed(await anyio.to_thread.run_sync(_over_http, most_bytes))


def _over_http(most_bytes: int) -> ASGIApp:
    """In a thread: the library takes most of a second to load, and whoever does not ask for it does without."""
    from api.routes.mcp.server import over_http

    return over_http(most_bytes)
