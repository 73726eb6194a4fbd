"""A door beside the customer's: its paths go to an app whose refusals have the form that its clients know."""

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.problems import DEFECT, Respond, install_problem_handlers


class Door:
    """ASGI middleware: what `behind` is for goes there, all else to the app."""

    def __init__(self, app: ASGIApp, behind: ASGIApp, has: Callable[[str], bool]) -> None:
        """`has` tells by a path whether it is for those behind the door."""
        self._app = app
        self._behind = behind
        self._has = has

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on by its path."""
        is_theirs = scope["type"] == "http" and self._has(scope["path"])
        await (self._behind if is_theirs else self._app)(scope, receive, send)


def open_door(
    state: State, routers: Sequence[APIRouter], respond: Respond, dependencies: Sequence[Any]
) -> FastAPI:
    """An app of its own over the services of `state`; its paths have one spelling, and it describes itself nowhere."""
    app = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=dependencies,
    )
    app.state = state
    install_problem_handlers(app, respond)

    async def defect(_: Request, __: Exception) -> JSONResponse:
        """What nobody caught, which is then raised on, for the log."""
        return respond(DEFECT, None)

    app.add_exception_handler(Exception, defect)
    for router in routers:
        app.include_router(router)
    return app
