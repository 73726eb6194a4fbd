"""Each request as a trace, by its route, with the id that the log has too."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.observe import route_of, seen
from api.tracing import Tracer

UNTRACED = frozenset({"/healthz", "/readyz", "/metrics"})
"""What monitors ask for all the time."""


class Traced:
    """ASGI middleware, within `Observe`: the trace of a request begins here."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http" or scope["path"] in UNTRACED:
            await self._app(scope, receive, send)
            return
        method, now = scope["method"], seen()
        with self._tracer.request(method, dict(Headers(scope=scope))) as span:
            try:
                await self._app(scope, receive, send)
            finally:
                status = now.status or 500
                span.tell(
                    {
                        "http.request.method": method,
                        "http.route": route_of(scope),
                        "http.response.status_code": status,
                        "error.type": str(status) if status >= 500 else None,
                        "llm_fastapi.request.id": now.id,
                    }
                )
