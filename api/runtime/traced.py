"""A ModelRuntime whose answers and vectors are parts of the running request's trace."""

import json
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

from api.runtime import Message, ModelRef, ModelRuntime, Options, Piece, name_of
from api.runtime.over import AnswersOver, Asked
from api.tracing import Attributes, span


class TracedRuntime(AnswersOver):
    """`ModelRuntime` that traces what takes long; `provider` runs what no other does by `provider_of`."""

    def __init__(
        self,
        runtime: ModelRuntime,
        provider: str,
        provider_of: Callable[[str], str] = lambda _: "",
    ) -> None:
        super().__init__(runtime)
        self._provider = provider
        self._provider_of = provider_of

    async def embed(self, model: ModelRef, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text."""
        name = name_of(model)
        with span("embeddings", name, self._asked(name)) as part:
            vectors = await super().embed(model, texts)
            part.tell({"gen_ai.embeddings.dimension.count": len(vectors[0]) if vectors else None})
            return vectors

    async def _answering(
        self, asked: Asked, pieces: AsyncGenerator[Piece, None]
    ) -> AsyncGenerator[Piece, None]:
        model = name_of(asked.model)
        began, text, is_first = time.monotonic(), "", True
        with span(asked.operation, model, self._asked(model) | _sampling(asked.options)) as part:
            if part.tells_content:
                part.tell({"gen_ai.input.messages": _told(asked.messages)})
            async with aclosing(pieces):
                async for piece in pieces:
                    if is_first:
                        is_first = False
                        waited = time.monotonic() - began
                        part.tell({"gen_ai.response.time_to_first_chunk": waited})
                    text += piece.text if part.tells_content else ""
                    if piece.usage:
                        part.tell(_ended(model, piece))
                        if part.tells_content:
                            part.tell(
                                {"gen_ai.output.messages": _told([Message("assistant", text)])}
                            )
                    yield piece

    def _asked(self, model: str) -> dict[str, str]:
        provider = self._provider_of(model) or self._provider
        return {"gen_ai.provider.name": provider, "gen_ai.request.model": model}


def _sampling(options: Options) -> dict[str, Any]:
    said = {
        "temperature": options.temperature,
        "top_p": options.top_p,
        "top_k": options.top_k,
        "max_tokens": options.max_tokens,
        "seed": options.seed,
        "frequency_penalty": options.frequency_penalty,
        "presence_penalty": options.presence_penalty,
    }
    return {f"gen_ai.request.{name}": value for name, value in said.items()}


def _ended(model: str, piece: Piece) -> Attributes:
    usage = piece.usage
    assert usage  # noqa: S101  the last piece has it
    return {
        "gen_ai.response.model": model,
        "gen_ai.response.finish_reasons": [usage.finish_reason],
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
    }


def _told(messages: Sequence[Message]) -> str:
    """Turns as the conventions write them, as JSON."""
    said = [
        {"role": one.role, "parts": [{"type": "text", "content": one.content}]} for one in messages
    ]
    return json.dumps(said, ensure_ascii=False)
