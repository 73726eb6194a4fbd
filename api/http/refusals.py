"""A refusal in the manners of its path, for who stands before all routes."""

from starlette.responses import Response

from api.http.openai_errors import is_openai, openai_response
from api.http.problems import DEFECT, Problem, problem_response


def refusal_response(
    path: str, problem: Problem, headers: dict[str, str] | None = None
) -> Response:
    """A problem as a response: as OpenAI's clients read it below `/v1`, else as RFC 9457 writes it."""
    respond = openai_response if is_openai(path) else problem_response
    return respond(problem, headers)


def defect_response(path: str) -> Response:
    """The answer to what nobody caught."""
    return refusal_response(path, DEFECT)
