"""A text that a model goes on with as it stands: no conversation, no documents."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from api.errors import BackEndFailed
from api.rag.receipt import Done, Token, done
from api.rag.room import Asked
from api.runtime import ModelRuntime, TokenLogprob


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model wrote behind a text."""

    text: str
    done: Done
    logprobs: tuple[TokenLogprob, ...] = ()


async def completed(
    runtime: ModelRuntime, asked: Asked, prompt: str
) -> AsyncGenerator[Token | Done, None]:
    """Tokens and the end. Closing it cancels the generation."""
    answering = runtime.complete(asked.model, prompt, asked.options, least_tokens=asked.least)
    async with aclosing(answering) as pieces:
        async for piece in pieces:
            if piece.text or piece.logprobs:
                yield Token(piece.text, piece.logprobs)
            if piece.usage:
                yield done(piece.usage)
                return
    raise BackEndFailed("The model stopped without saying how its text ended. Ask again.")


async def whole(events: AsyncGenerator[Token | Done, None]) -> Completion:
    """The same, joined."""
    text: list[str] = []
    logprobs: list[TokenLogprob] = []
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Done):
                return Completion("".join(text), event, tuple(logprobs))
            text.append(event.text)
            logprobs += event.logprobs
    raise BackEndFailed("The text ended without saying how.")
