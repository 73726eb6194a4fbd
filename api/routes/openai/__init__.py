"""The door that OpenAI's clients know: everything below `/v1`, each route a translation of what the service does.

An app of its own beside the customer's: its refusals have OpenAI's form, and its paths one spelling.
"""

from fastapi import Depends, FastAPI
from starlette.datastructures import State
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from api.http.openai_errors import PREFIX, is_openai, openai_response
from api.http.problems import Problem, problem_of, problem_response
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
_PREFIXES = tuple(room.router.prefix for room in ROOMS)
_ENDS = tuple(prefix.removeprefix(PREFIX) for prefix in _PREFIXES)


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
    doubled = any(path.startswith(f"{room}{end}") for room in _PREFIXES for end in _ENDS)
    if doubled or path.startswith(f"{PREFIX}{PREFIX}"):
        return _unknown(request, f"The client's base URL is too long: let it end with {PREFIX}.")
    if path.endswith("/") or "//" in path:
        return _unknown(request, "No path has a slash at its end, or two in a row.")
    return _unknown(request)


async def no_path_or_no_prefix(request: Request, error: Exception) -> JSONResponse:
    """A 404 of the customer's door. Who gave a client the service's address alone is told what lacks, in the form that
    the client reads.
    """
    path = request.url.path
    if path in _ENDS or path.startswith(tuple(f"{end}/" for end in _ENDS)):
        return _unknown(request, f"The client's base URL is too short: let it end with {PREFIX}.")
    if path.startswith("//") and is_openai(f"/{path.lstrip('/')}"):
        return _unknown(request, "The client's base URL has a slash too many.")
    return problem_response(*problem_of(error))


def _unknown(request: Request, advice: str = "") -> JSONResponse:
    problem: Problem = {
        "title": "No such path",
        "status": 404,
        "detail": f"There is no {request.method} {request.url.path[:200]} here. {advice}".rstrip(),
        "code": "unknown_url",
    }
    return openai_response(problem)
