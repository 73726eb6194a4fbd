"""A ModelRuntime whose answers are measured: how long until the first token, between tokens, and in all."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from api.errors import ApiError
from api.metrics import Figures
from api.runtime import ModelRuntime, Piece, name_of
from api.runtime.over import AnswersOver, Asked


class WatchedRuntime(AnswersOver):
    """`ModelRuntime` that tells `figures` what its answers took."""

    def __init__(self, runtime: ModelRuntime, figures: Figures) -> None:
        super().__init__(runtime)
        self._figures = figures

    async def rename(self, name: str, new_name: str) -> None:
        """Under its new name its figures begin anew: the former one was for a trial."""
        await super().rename(name, new_name)
        self._figures.forget(name)

    async def delete_model(self, name: str) -> None:
        """With its figures."""
        await super().delete_model(name)
        self._figures.forget(name)

    async def _answering(
        self, asked: Asked, pieces: AsyncGenerator[Piece, None]
    ) -> AsyncGenerator[Piece, None]:
        model, began = name_of(asked.model), time.monotonic()
        last: float | None = None
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    now = time.monotonic()
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
