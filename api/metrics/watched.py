"""A ModelRuntime whose answers are measured: how long until the first token, between tokens, and in all."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from api.errors import ApiError
from api.metrics import Clock, Figures
from api.runtime import Message, ModelRef, ModelRuntime, Options, Piece, name_of
from api.runtime.over import RuntimeOver


class WatchedRuntime(RuntimeOver):
    """`ModelRuntime` that tells `figures` what its answers took."""

    def __init__(
        self, runtime: ModelRuntime, figures: Figures, clock: Clock = time.monotonic
    ) -> None:
        super().__init__(runtime)
        self._figures = figures
        self._clock = clock

    def chat(
        self,
        model: ModelRef,
        messages: Sequence[Message],
        options: Options,
        *,
        least_tokens: int | None = None,
        prompt_tokens: int | None = None,
    ) -> AsyncGenerator[Piece, None]:
        """Answer in pieces."""
        pieces = super().chat(
            model, messages, options, least_tokens=least_tokens, prompt_tokens=prompt_tokens
        )
        return self._watched(name_of(model), pieces)

    def complete(
        self, model: ModelRef, prompt: str, options: Options
    ) -> AsyncGenerator[Piece, None]:
        """Go on with a text in pieces."""
        return self._watched(name_of(model), super().complete(model, prompt, options))

    async def _watched(
        self, model: str, pieces: AsyncGenerator[Piece, None]
    ) -> AsyncGenerator[Piece, None]:
        began = self._clock()
        last: float | None = None
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    now = self._clock()
                    if last is None:
                        self._figures.began(model, now - began)
                    else:
                        self._figures.went_on(model, now - last)
                    last = now
                    if piece.usage:
                        self._figures.ended(model, piece.usage, now - began)
                    yield piece
        except ApiError as error:
            self._figures.failed(model, error.title)
            raise
