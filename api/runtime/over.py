"""A ModelRuntime over another one. It passes everything on; who changes something overrides that alone."""

from collections.abc import AsyncGenerator, Sequence
from typing import Literal, NamedTuple

from api.runtime import (
    Message,
    ModelInfo,
    ModelRef,
    ModelRuntime,
    ModelSource,
    Options,
    Persona,
    Piece,
    TokenCount,
)
from api.runtime.training import Training
from finetune.job.device import Device


class RuntimeOver:
    """`ModelRuntime` by what is behind it; each method means what it means there."""

    def __init__(self, runtime: ModelRuntime) -> None:
        self._runtime = runtime

    async def models(self) -> list[ModelInfo]:
        """All models."""
        return await self._runtime.models()

    async def show(self, model: ModelRef) -> ModelInfo:
        """One model."""
        return await self._of(model).show(model)

    async def create_model(
        self, name: str, source: ModelSource, persona: Persona, *, replace: bool = False
    ) -> None:
        """Create a model."""
        await self._runtime.create_model(name, source, persona, replace=replace)

    async def rename(self, name: str, new_name: str) -> None:
        """Give a model another name."""
        await self._runtime.rename(name, new_name)

    async def delete_model(self, name: str) -> None:
        """Delete a model."""
        await self._of(name).delete_model(name)

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
        return self._of(model).chat(
            model, messages, options, least_tokens=least_tokens, prompt_tokens=prompt_tokens
        )

    def complete(
        self, model: ModelRef, prompt: str, options: Options, *, least_tokens: int | None = None
    ) -> AsyncGenerator[Piece, None]:
        """Go on with a text in pieces."""
        return self._of(model).complete(model, prompt, options, least_tokens=least_tokens)

    async def count_tokens(
        self, model: ModelRef, messages: Sequence[Message], num_ctx: int | None = None
    ) -> TokenCount:
        """Tokens of a conversation."""
        return await self._of(model).count_tokens(model, messages, num_ctx)

    async def tokenize_lengths(
        self, model: ModelRef, texts: Sequence[str], num_ctx: int | None = None
    ) -> list[int]:
        """Tokens of each text."""
        return await self._of(model).tokenize_lengths(model, texts, num_ctx)

    async def embed(self, model: ModelRef, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text."""
        return await self._of(model).embed(model, texts)

    async def rerank(self, model: ModelRef, query: str, texts: Sequence[str]) -> list[float]:
        """One score a text."""
        return await self._of(model).rerank(model, query, texts)

    async def release_memory(self, device: Device | None = None) -> None:
        """Unload models."""
        await self._runtime.release_memory(device)

    def reserve(self, trainings: Sequence[Training]) -> None:
        """These train now."""
        self._runtime.reserve(trainings)

    async def check(self) -> tuple[str, ...]:
        """Hints for the operator."""
        return await self._runtime.check()

    async def close(self) -> None:
        """Stop everything."""
        await self._runtime.close()

    def _of(self, model: ModelRef) -> ModelRuntime:  # noqa: ARG002
        """What runs a model."""
        return self._runtime


class Asked(NamedTuple):
    """What an answer is given to: a conversation, or a raw text as its only turn."""

    operation: Literal["chat", "text_completion"]
    model: ModelRef
    messages: Sequence[Message]
    options: Options


class AnswersOver(RuntimeOver):
    """`RuntimeOver` for who looks after every answer, whatever it is given to: all pass through `_answering`."""

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
        return self._answering(Asked("chat", model, messages, options), pieces)

    def complete(
        self, model: ModelRef, prompt: str, options: Options, *, least_tokens: int | None = None
    ) -> AsyncGenerator[Piece, None]:
        """Go on with a text in pieces."""
        asked = Asked("text_completion", model, [Message("user", prompt)], options)
        pieces = super().complete(model, prompt, options, least_tokens=least_tokens)
        return self._answering(asked, pieces)

    def _answering(
        self, asked: Asked, pieces: AsyncGenerator[Piece, None]
    ) -> AsyncGenerator[Piece, None]:
        """The pieces, each as it comes."""
        raise NotImplementedError
