"""The door that Anthropic's clients know: `/v1/messages`, a translation onto the chat that all others have too."""

from fastapi import Depends, FastAPI
from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import JSONResponse

from api.http.anthropic_errors import anthropic_response
from api.http.openai_errors import PREFIX
from api.http.problems import Problem
from api.routes.anthropic import messages
from api.routes.door import open_door
from api.routes.scopes import require_scope


def create_anthropic_app(state: State) -> FastAPI:
    """The routes of `/v1/messages` over the services of `state`."""
    app = open_door(state, [messages.router], anthropic_response, [Depends(require_scope)])
    app.add_exception_handler(404, _no_such_path)
    return app


async def _no_such_path(request: Request, _: Exception) -> JSONResponse:
    """These clients add `/v1` to their base URL: say so where it is there already."""
    path = request.url.path
    is_doubled = path.startswith(PREFIX * 2)
    advice = (
        f" The client adds {PREFIX} by itself: leave it out of its base URL." if is_doubled else ""
    )
    problem: Problem = {
        "title": "No such path",
        "status": 404,
        "detail": f"There is no {request.method} {path[:200]} here.{advice}",
    }
    return anthropic_response(problem)
