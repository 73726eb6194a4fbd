"""How Ollama makes a conversation fit into the context: silently, unless it was told not to."""

from collections.abc import Awaitable, Callable
from typing import Any

from tests.ollama_double.runner import Runner
from tests.ollama_double.wire import Failure, JSONObject

_TOO_LONG = (
    "the prompt is longer than the context length currently available to the model; shorten the prompt, adjust the "
    "context length in settings, or use a model with a longer context length"
)


async def fit_messages(
    messages: list[JSONObject], context: int, count: Callable[[list[JSONObject]], Awaitable[int]]
) -> list[JSONObject]:
    """The newest messages that fit, with all system messages; the last one stays however long it is."""
    for start in range(len(messages)):
        system = [message for message in messages[:start] if message["role"] == "system"]
        some = system + messages[start:]
        if start == len(messages) - 1 or await count(some) <= context:
            return some
    return messages


async def fit_prompt(
    runner: Runner, prompt: str, options: dict[str, Any], *, cuts: bool, shifts: bool
) -> str | list[int]:
    """The prompt, or the tokens of its beginning and its end when it is too long and may be cut."""
    context = options["num_ctx"]
    if not cuts or len(prompt.encode()) < context:
        return prompt
    tokens = await runner.tokenize(prompt)
    if len(tokens) <= context - 1:
        return prompt
    if not shifts:
        raise Failure(400, _TOO_LONG)
    keep = min(options["num_keep"] if options["num_keep"] >= 0 else len(tokens), context - 1)
    room = context - max((context - keep) // 2, 1)
    return tokens[:keep] + tokens[len(tokens) - (room - keep) :]
