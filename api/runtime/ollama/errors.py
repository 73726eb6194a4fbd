"""What Ollama says no with, as errors of ours. Its HTTP 200 is no success: errors also come as the last line."""

import json
import re
from collections.abc import Mapping
from typing import Any

from api.errors import (
    ApiError,
    BackEndFailed,
    InvalidName,
    InvalidOption,
    ModelNotFound,
    OutOfSpace,
    PromptTooLong,
    Unavailable,
    Unusable,
)

ANOTHER_SERVER = (
    "What answers at LLM_FASTAPI_OLLAMA_URL is no Ollama server that takes this call ({}). "
    "Check the address, and that Ollama is not older than this service expects."
)
_IN_STREAM = -1
_MAX_CHARACTERS = 500
_SERVER_PATH = re.compile(r"/\S*/(?=blobs/|manifests/)")
_MODEL_MISSING = re.compile(r"model ['\"].*['\"] not found")
_NAME_REFUSED = re.compile(r'invalid model name|^name ".*" is invalid')
_OVERFLOW = re.compile(r"request \((\d+) tokens\) exceeds .* \((\d+) tokens\)")
_GGUF_FAULTS = (
    "not in GGUF format",
    "exceeds file size",
    "unexpected EOF",
    "failed to validate GGUF",
    "invalid digest format",
    "digest mismatch",
    "unknown type",
    "unsupported architecture",
)
_TEXT_TOO_LONG = ("input length exceeds the context length", "too large to process")
_PROCESS_GONE = "do embedding request"
_OPTION_FAULTS = (
    "does not support",
    "must be of type",
    "invalid format",
    "is not supported",
    "schema conversion failed",
)


class Lost(Unavailable):
    """The connection, or the process behind it, was refused or broke off: the next call may be answered."""


class OwnFault(BackEndFailed):
    """Ollama itself has failed, and no proxy before it."""


class TextTooLong(Unusable):
    """A text that an embedding model cannot read whole."""


def refusal(status: int, said: str, model: str) -> ApiError:
    """An answer that is an error, by its status (-1: the last line of a stream) and its text."""
    text, error = _unwrapped(said)
    if too_long := _too_long(text, error):
        return too_long
    if "no space left on device" in text:
        return OutOfSpace("Ollama's disk is full. Free some space there, then try again.")
    if _MODEL_MISSING.search(text):
        return ModelNotFound(model)
    if _NAME_REFUSED.search(text):
        return InvalidName(f"Ollama does not take {model!r} as a model name.", where="modelName")
    if status == 503:
        return Unavailable(f"Ollama is busy: {_shown(text)}", retry_after_seconds=5)
    if status in (403, 404, 405):
        return BackEndFailed(ANOTHER_SERVER.format(f"{status} {_shown(text)}".strip()))
    if status in (400, 501) or any(fault in text for fault in _OPTION_FAULTS):
        return InvalidOption(f"Ollama refuses the request: {_shown(text)}")
    is_own = status == 500 and not text.lstrip().startswith("<")
    return (OwnFault if is_own else BackEndFailed)(
        f"Ollama failed: {_shown(text) or f'status {status}'}"
    )


def creation_refusal(status: int, said: str, model: str) -> ApiError:
    """The same for creating a model, where other texts mean that the source cannot be used."""
    text, _ = _unwrapped(said)
    if "template error" in text:
        return Unusable(f"The chat template is no Go template that Ollama reads: {_shown(text)}")
    if any(fault in text for fault in _GGUF_FAULTS):
        return Unusable(f"Ollama cannot use the GGUF file: {_shown(text)}")
    return refusal(status, said, model)


def embedding_refusal(status: int, said: str, model: str) -> ApiError:
    """The same for vectors: a process that died, or does not load, is away, and no fault of the text."""
    error = refusal(status, said, model)
    is_away = isinstance(error, BackEndFailed) and status == 500
    if is_away or (type(error) is InvalidOption and _PROCESS_GONE in said):
        text = _shown(_unwrapped(said)[0])
        return Lost(f"Ollama's process of the embedding model {model!r} is away: {text}")
    return error


def _too_long(text: str, error: Mapping[str, Any]) -> ApiError | None:
    if error.get("type") == "exceed_context_size_error":
        return PromptTooLong(int(error.get("n_prompt_tokens", 0)), int(error.get("n_ctx", 0)))
    if overflow := _OVERFLOW.search(text):
        return PromptTooLong(int(overflow[1]), int(overflow[2]))
    if any(fault in text for fault in _TEXT_TOO_LONG):
        return TextTooLong("A text has more tokens than the embedding model reads. Split it.")
    if "prompt is longer than the context" in text:
        return Unusable("The prompt does not fit into the context. Shorten it or raise num_ctx.")
    return None


def _unwrapped(said: str) -> tuple[str, Mapping[str, Any]]:
    """The innermost text and its object: llama.cpp's errors come as JSON within a text."""
    error: Mapping[str, Any] = {}
    for _ in range(3):
        start = said.find('{"error"')
        try:
            inner = json.loads(said[start:])["error"] if start >= 0 else None
        except (ValueError, TypeError, KeyError):
            inner = None
        if isinstance(inner, Mapping):
            return str(inner.get("message", said)), inner
        if not isinstance(inner, str):
            break
        said = inner
    return said, error


def _shown(text: str) -> str:
    """One line, without the folders of the server."""
    return _SERVER_PATH.sub("", " ".join(text.split()))[:_MAX_CHARACTERS]
