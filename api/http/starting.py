"""Listens before the app is there: the probes are answered at once, everything else as soon as the app is loaded."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.observe import Observe
from api.http.refusals import defect_response, refusal_response

LOADING = {"status": "not ready", "checks": {"service": "is loading"}, "hints": []}
PROBES = {
    "/healthz": Observe(JSONResponse({"status": "alive"}), defect_response),
    "/readyz": Observe(JSONResponse(LOADING, 503, {"Retry-After": "2"}), defect_response),
}
"""What is answered while the app is loaded, in the form in which the app answers it later."""
GIVEN_UP = {
    "type": "about:blank",
    "title": "Cannot start",
    "status": 503,
    "detail": "The service cannot start; its log says why.",
}


class Starting:
    """ASGI: the app that `load` makes in a thread, with the lifespan of that app.

    When `load` fails, `failure` has the exception and `give_up` is called, which is to end the server.
    """

    def __init__(self, load: Callable[[], Starlette], give_up: Callable[[], None]) -> None:
        self._load = load
        self._give_up = give_up
        self._router = Router(lifespan=self._lifespan)
        self._app: asyncio.Future[ASGIApp]
        self.failure: Exception | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the probes while the app is loaded; what else is asked waits for it."""
        if scope["type"] == "lifespan":
            await self._router(scope, receive, send)
        elif scope["path"] in PROBES and not self._app.done():
            await PROBES[scope["path"]](scope, receive, send)
        else:
            app = await asyncio.shield(self._app)
            await app(scope, receive, send)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Router) -> AsyncIterator[None]:
        self._app = asyncio.get_running_loop().create_future()
        end = asyncio.Event()
        life = asyncio.create_task(self._live(end))
        yield
        end.set()
        await life

    async def _live(self, end: asyncio.Event) -> None:
        try:
            app = await asyncio.to_thread(self._load)
            async with app.router.lifespan_context(app):
                self._app.set_result(app)
                await end.wait()
        except Exception as error:
            self.failure = error
            if not self._app.done():
                self._app.set_result(Observe(_given_up, defect_response))
            self._give_up()


async def _given_up(scope: Scope, receive: Receive, send: Send) -> None:
    await refusal_response(scope["path"], GIVEN_UP)(scope, receive, send)
