"""The door that OpenAI's clients know: everything below `/v1`, each route a translation of what the service does.

An app of its own beside the customer's: its refusals have OpenAI's form, and its paths one spelling.
"""

from fastapi import Depends, FastAPI
from starlette.datastructures import State
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from api.http.openai_errors import PREFIX, openai_response
from api.http.problems import Problem
from api.routes.door import open_door
from api.routes.openai import (
    batches,
    chat,
    completions,
    embeddings,
    files,
    fine_tuning,
    models,
    responses,
    uploads,
    vector_store_files,
    vector_stores,
)
from api.routes.openai.body import plain_path
from api.routes.scopes import require_scope

ROOMS = (
    batches,
    chat,
    completions,
    embeddings,
    files,
    fine_tuning,
    models,
    responses,
    uploads,
    vector_stores,
    vector_store_files,
)


def create_openai_app(state: State) -> FastAPI:
    """The routes below `/v1` over the services of `state`."""
    rules = [Depends(plain_path), Depends(require_scope)]
    app = open_door(state, [room.router for room in ROOMS], openai_response, rules)
    app.add_exception_handler(404, _no_such_path)
    return app


async def _no_such_path(request: Request, error: Exception) -> JSONResponse:
    """People give the address of a route as their client's base URL: say which one is right."""
    assert isinstance(error, HTTPException)  # noqa: S101  Starlette's handlers are typed by Exception
    path = request.url.path
    rooms = [room.router.prefix for room in ROOMS]
    ends = [room.removeprefix(PREFIX) for room in rooms]
    doubled = any(path.startswith(f"{room}{end}") for room in rooms for end in ends)
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
