"""Errors on the wire: RFC 9457 problem+json, with the request's id as `instance` and never an echo of the input."""

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from api.auth.callers import ANYONE, CALLER, Caller
from api.errors import ApiError, ModelNotFound
from api.http.observe import seen

PROBLEM_JSON = "application/problem+json"
TITLES = {400: "Malformed request", 404: "Not found", 405: "Method not allowed", 413: "Too large"}
DETAILS = {
    404: "There is nothing at this path; /docs shows what there is.",
    405: "This path takes other methods.",
}
PROBLEM = "Problem"
PROBLEM_SCHEMA = {
    "title": PROBLEM,
    "description": "Every refusal, as RFC 9457 writes it. It may have more members, such as the known names.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string", "description": "Always `about:blank`: `title` says the kind."},
        "title": {"type": "string", "description": "The kind of refusal."},
        "status": {"type": "integer", "description": "The status of the answer."},
        "detail": {"type": "string", "description": "What is wrong, where, and what to do."},
        "instance": {"type": "string", "description": "The request's id, which the log has too."},
        "errors": {
            "type": "array",
            "description": "What is wrong with each field or row.",
            "items": {"type": "object"},
        },
    },
}
REFUSALS = {
    401: "The key is missing or wrong: send `Authorization: Bearer KEY`.",
    403: "The key lacks a scope, or a page of another origin called.",
    404: "There is no such thing: `detail` names what there is.",
    408: "The upload stopped or came too slowly.",
    409: "The name is taken, or the state of things does not allow it.",
    413: "Larger than is allowed.",
    415: "Not the kind of file or body that is expected.",
    416: "The part that is asked for lies beyond the file: `Content-Range` says its size.",
    429: "Too many requests wait, or came in a while: ask again after `Retry-After`.",
    421: "The service does not answer under this Host name.",
    422: "A value cannot be used: `errors` names each field.",
    502: "A back end failed.",
    503: "Something is away or not ready yet: ask again after `Retry-After`.",
    507: "The disk is full.",
}
"""What the statuses of refusals mean, a line each."""


Problem = dict[str, Any]
Respond = Callable[[Problem, dict[str, str] | None], JSONResponse]
"""Writes a problem, with headers, in some form."""


def problem_response(
    problem: dict[str, Any], headers: dict[str, str] | None = None
) -> JSONResponse:
    """A problem as a response."""
    problem = stamped(problem)
    return JSONResponse(
        problem, status_code=problem["status"], headers=headers, media_type=PROBLEM_JSON
    )


def stamped(problem: dict[str, Any]) -> dict[str, Any]:
    """The problem with the request's id as `instance`; the request's log line tells its title."""
    now = seen()
    now.problem = problem["title"]
    return {**problem, "instance": f"urn:request:{now.id}"}


def validation_problem(errors: Sequence[Any]) -> dict[str, Any]:
    """A 422 from pydantic's errors: where and what, cut and cleaned, without the input."""
    fields = [
        {
            "where": ".".join(_printable(part, 60) for part in error["loc"]),
            "reason": _printable(error["msg"], 1000),
        }
        for error in errors[:20]
    ]
    detail = "; ".join(f"{field['where']}: {field['reason']}" for field in fields[:3])
    return {
        "type": "about:blank",
        "title": "Invalid request",
        "status": 422,
        "detail": detail or "The request is not valid.",
        "errors": fields,
    }


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may refuse with these statuses."""
    content = {PROBLEM_JSON: {"schema": {"$ref": f"#/components/schemas/{PROBLEM}"}}}
    return {
        status: {"description": REFUSALS[status], "content": content}
        for status in sorted({*statuses, 503})
    }


def install_problem_handlers(app: FastAPI, respond: Respond = problem_response) -> None:
    """Answer every failure that is no defect with a problem, in the form that `respond` writes."""

    async def answer(request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, ApiError):
            error = for_caller(error, getattr(request.state, CALLER, ANYONE))
        return respond(*problem_of(error))

    for kind in (ApiError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, answer)


def for_caller(error: ApiError, caller: Caller) -> ApiError:
    """One that names the models that there are names to a caller those that its key may use."""
    if not isinstance(error, ModelNotFound):
        return error
    return ModelNotFound(error.name, [name for name in error.created if caller.may_use(name)])


def problem_of(error: Exception) -> tuple[Problem, dict[str, str]]:
    """A failure as a problem, with the headers that go along."""
    match error:
        case ApiError():
            later = error.retry_after_seconds
            return error.as_problem(), {} if later is None else {"Retry-After": str(later)}
        case RequestValidationError():
            return validation_problem(error.errors()), {}
        case HTTPException():
            return _http_problem(error), dict(error.headers or {})
    raise error


def _http_problem(error: HTTPException) -> Problem:
    detail = DETAILS.get(error.status_code) or _printable(error.detail, 300)
    if methods := (error.headers or {}).get("Allow"):
        detail = f"This path takes {methods}."
    return {
        "type": "about:blank",
        "title": TITLES.get(error.status_code, "Refused"),
        "status": error.status_code,
        "detail": detail,
    }


DEFECT = {
    "type": "about:blank",
    "title": "Internal error",
    "status": 500,
    "detail": "A defect in the service; its log has the traceback.",
}
"""What is said of what nobody caught."""


def _printable(value: object, limit: int) -> str:
    text = "".join(c if c.isprintable() else "?" for c in str(value)[: limit + 1])
    return text if len(text) <= limit else text[:limit] + "..."
