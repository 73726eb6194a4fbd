"""Refusals as OpenAI's clients read them: an `error`, a status that they have a class for, and whether to repeat.

Everything below `/v1` answers so, whoever refuses: a route, the router, the gate, or what caught a defect. The words
are those of the problem that the same refusal is elsewhere.
"""

from typing import Any

from fastapi.responses import JSONResponse

from api.http.problems import Problem, stamped

PREFIX = "/v1"
INVALID = "invalid_request_error"
TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    429: "rate_limit_error",
}
CODES = {
    "Base model not trainable": "model_not_found",
    "Invalid option": "unsupported_value",
    "Key blocked": "invalid_api_key",
    "Key expired": "invalid_api_key",
    "Key needed": "invalid_api_key",
    "Model not found": "model_not_found",
    "Prompt too long": "context_length_exceeded",
    "Rate limit exceeded": "rate_limit_exceeded",
    "Scope missing": "missing_scope",
    "Too many requests": "rate_limit_exceeded",
    "Wrong key": "invalid_api_key",
}
"""What clients tell refusals apart by; a refusal without a code of its own has none."""
STATUSES = {415: 400, 422: 400}
"""What clients catch as a bad request is one here."""
OURS = {"modelName": "model"}
"""Fields that are called otherwise here than on the customer's paths."""
USELESS_TO_REPEAT = frozenset({409, 501, 507})
"""What the SDKs would send again by themselves, though it cannot succeed."""
NOT_TO_REPEAT = frozenset({"invalid_call", "invalid_answer"})
"""Codes of what a model was asked for and did not do: whether it is worth asking again is for people to say."""


def is_openai(path: str) -> bool:
    """Whether a path is one of OpenAI's."""
    return path == PREFIX or path.startswith(PREFIX + "/")


def error_body(problem: Problem) -> dict[str, Any]:
    """The body of a refusal. All four members are always there."""
    status = problem["status"]
    kind = TYPES.get(status, INVALID if status < 500 else "server_error")
    error = {
        "message": problem["detail"],
        "type": kind,
        "param": _param(problem),
        "code": problem.get("code") or CODES.get(problem["title"]),
    }
    return {"error": error}


def openai_response(problem: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    """A refusal as a response; its request's id stands in `x-request-id`, as in every answer."""
    problem = stamped(problem)
    status: int = problem["status"]
    said = dict(headers or {})
    if status in USELESS_TO_REPEAT or problem.get("code") in NOT_TO_REPEAT:
        said["x-should-retry"] = "false"
    return JSONResponse(error_body(problem), STATUSES.get(status, status), headers=said)


def _param(problem: Problem) -> str | None:
    """The field that is wrong, the first one where there are several."""
    fields = problem.get("errors")
    if isinstance(fields, list) and fields and "where" in fields[0]:
        return str(fields[0]["where"])
    where = problem.get("where")
    return None if where is None else OURS.get(where, where)
