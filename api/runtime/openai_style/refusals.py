"""What a server on OpenAI's wire says no with, as errors of ours."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from api.errors import (
    ApiError,
    BackEndFailed,
    InvalidOption,
    PromptTooLong,
    TooManyRequests,
    Unavailable,
)

RETRY_SECONDS = 5
MOST_RETRY_SECONDS = 3600
_MAX_CHARACTERS = 500
_MAX_PARAM_CHARACTERS = 100
_TOO_LONG = re.compile(
    r"maximum context length|context_length_exceeded|exceed_context_size|context (?:size|window)"
    r"|(?:prompt|input)\S* (?:exceeds|is too long|too long)",
    re.IGNORECASE,
)
_LIMIT = re.compile(r"(?:maximum context length is|n_ctx\D*|context size of) *(\d+)")
_HAD = re.compile(r"(?:resulted in|you requested|n_prompt_tokens\D*|contains at least) *(\d+)")
_OURS = {"max_completion_tokens": "max_tokens", "top_logprobs": "logprobs"}
"""Parameters that stand for others of ours."""
_OF_MOST = "most base URLs end with /v1."
_SCHEMAS = re.compile(r"json.?schema|response_format|grammar", re.IGNORECASE)


class BackEndSilent(BackEndFailed):
    """A back end did not answer, or stopped answering, within its bounds of time."""

    status = 504
    title = "Back end too slow"


def refusal(
    back_end: str, model: str, status: int, content: bytes, retry_after: str, *, key: str = ""
) -> ApiError:
    """An answer that is an error, of the back end of that name about its own name of a model. Some show the key."""
    error = _error(content)
    said = str(error.get("message") or "")
    said = " ".join((said.replace(key, "***") if key else said).split())[:_MAX_CHARACTERS]
    if status in (401, 403):
        return BackEndFailed(
            f"The back end {back_end!r} does not take the key that it was given ({status}). "
            f"An admin can give another: PATCH /backends/{back_end}.",
            code="back_end_key",
        )
    if 300 <= status < 400:
        return BackEndFailed(
            f"The back end {back_end!r} answers with a redirect ({status}), which is not followed. "
            "Give it the address that it really has."
        )
    if status == 429:
        return TooManyRequests(
            f"The back end {back_end!r} has too many requests{_told(said)}",
            retry_after_seconds=seconds_of(retry_after) or RETRY_SECONDS,
        )
    if status == 404:
        lacks = f"no {model!r}, or nothing at its address" if model else "nothing at its address"
        return BackEndFailed(
            f"The back end {back_end!r} has {lacks}{_told(said or _OF_MOST)}",
            code="back_end_lacks_model",
        )
    if status in (400, 413, 422) and _TOO_LONG.search(json.dumps(error)):
        return _too_long(error, said)
    if status in (400, 422):
        return InvalidOption(
            f"The back end {back_end!r} refuses the request{_told(said)}", **_where(error, said)
        )
    if status == 503:
        wait = seconds_of(retry_after) or RETRY_SECONDS
        return Unavailable(
            f"The back end {back_end!r} is busy{_told(said)}", retry_after_seconds=wait
        )
    return BackEndFailed(f"The back end {back_end!r} failed ({status}){_told(said)}")


def seconds_of(retry_after: str) -> int | None:
    """The whole seconds that a server asks to wait, in either of the header's forms; None where it says nothing."""
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return round(min(MOST_RETRY_SECONDS, max(1.0, seconds)))  # of NaN the first


def _error(content: bytes) -> Mapping[str, Any]:
    """The object that tells what is wrong, however it is wrapped."""
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    error = said.get("error", said) if isinstance(said, Mapping) else {}
    return error if isinstance(error, Mapping) else {"message": error}


def _told(said: str) -> str:
    return f": {said}" if said else "."


def _too_long(error: Mapping[str, Any], said: str) -> PromptTooLong:
    limit, had = _LIMIT.search(said), _HAD.search(said)
    most = int(error.get("n_ctx") or (limit[1] if limit else 0))
    tokens = int(error.get("n_prompt_tokens") or (had[1] if had else 0))
    return PromptTooLong(tokens, most, context_can_grow=False)


def _where(error: Mapping[str, Any], said: str) -> dict[str, Any]:
    param = error.get("param")
    if isinstance(param, str) and 0 < len(param) <= _MAX_PARAM_CHARACTERS:
        return {"where": _OURS.get(param, param)}
    return {"where": "response_format"} if _SCHEMAS.search(said) else {}
