"""A refusal in the manners of its path, for who stands before all routes."""

from starlette.responses import Response

from api.http.anthropic_errors import anthropic_response, is_anthropic
from api.http.openai_errors import is_openai, openai_response
from api.http.problems import DEFECT, Problem, Respond, problem_response


def refusal_response(
    path: str, problem: Problem, headers: dict[str, str] | None = None
) -> Response:
    """A problem as a response: on the paths of Anthropic's and OpenAI's clients in their form, else by RFC 9457."""
    respond: Respond = problem_response
    if is_openai(path):
        respond = anthropic_response if is_anthropic(path) else openai_response
    return respond(problem, headers)


def defect_response(path: str) -> Response:
    """The answer to what nobody caught."""
    return refusal_response(path, DEFECT)
