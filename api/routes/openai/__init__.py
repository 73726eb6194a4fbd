"""The door that OpenAI's clients know: everything below `/v1`, each route a translation of what the service does.

An app of its own beside the customer's: its refusals have OpenAI's form, and its paths one spelling.
"""

from fastapi import Depends, FastAPI
from starlette.datastructures import State
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.openai_errors import PREFIX, is_openai, openai_response
from api.http.problems import DEFECT, Problem, install_problem_handlers
from api.routes.openai import chat, completions, embeddings, files, models
from api.routes.openai.body import plain_path
from api.routes.scopes import require_scope

ROOMS = (chat, completions, embeddings, files, models)


class OpenAI:
    """ASGI middleware: what is below `/v1` goes through this door, all else to the app behind it."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        self._app = app
        self._openai = create_openai_app(state)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on by its path."""
        is_ours = scope["type"] == "http" and is_openai(scope["path"])
        await (self._openai if is_ours else self._app)(scope, receive, send)


def create_openai_app(state: State) -> FastAPI:
    """The routes below `/v1` over the services of `state`."""
    app = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(plain_path), Depends(require_scope)],
    )
    app.state = state
    install_problem_handlers(app, openai_response)
    app.add_exception_handler(404, _no_such_path)
    app.add_exception_handler(Exception, _defect)
    for room in ROOMS:
        app.include_router(room.router)
    return app


async def _defect(_: Request, __: Exception) -> JSONResponse:
    """What nobody caught, which is then raised on, for the log."""
    return openai_response(DEFECT)


async def _no_such_path(request: Request, error: Exception) -> JSONResponse:
    """People give the address of a route as their client's base URL: say which one is right."""
    assert isinstance(error, HTTPException)  # noqa: S101  Starlette's handlers are typed by Exception
    path = request.url.path
    doubled = any(path.startswith(f"{room.router.prefix}/") for room in ROOMS)
    advice = (
        f" The client's base URL is too long: let it end with {PREFIX}."
        if doubled or path.startswith(f"{PREFIX}{PREFIX}")
        else ""
    )
    problem: Problem = {
        "title": "No such path",
        "status": 404,
        "detail": f"There is no {request.method} {path[:200]} here.{advice}",
        "code": "unknown_url",
    }
    return openai_response(problem)
