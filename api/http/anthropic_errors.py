"""Refusals as Anthropic's clients read them, on the paths of `/v1/messages`; the words are those of the problem."""

from typing import Any

from fastapi.responses import JSONResponse

from api.http.observe import seen
from api.http.openai_errors import PREFIX, STATUSES, USELESS_TO_REPEAT
from api.http.problems import Problem, stamped

MESSAGES = PREFIX + "/messages"
REQUEST_ID = "request-id"
"""The header in which its SDKs look for the request's id."""
INVALID = "invalid_request_error"
TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}
TOO_LONG = "Prompt too long"


def is_anthropic(path: str) -> bool:
    """Whether a path is one of Anthropic's, also behind a base URL that ends with `/v1`."""
    path = path.removeprefix(PREFIX) if path.startswith(PREFIX * 2) else path
    return path == MESSAGES or path.startswith(MESSAGES + "/")


def anthropic_body(problem: Problem) -> dict[str, Any]:
    """The body of a refusal. A prompt that is too long says so as Claude Code looks for it, to shorten its own."""
    status: int = problem["status"]
    message = problem["detail"]
    if problem["title"] == TOO_LONG:
        message = f"prompt is too long: {message}"
    kind = TYPES.get(status, INVALID if status < 500 else "api_error")
    error = {"type": kind, "message": message}
    return {"type": "error", "error": error, "request_id": seen().id}


def anthropic_response(problem: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    """A refusal as a response."""
    problem = stamped(problem)
    status: int = problem["status"]
    said = {**(headers or {}), REQUEST_ID: seen().id}
    if status in USELESS_TO_REPEAT:
        said["x-should-retry"] = "false"
    return JSONResponse(anthropic_body(problem), STATUSES.get(status, status), headers=said)
