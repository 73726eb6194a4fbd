"""The embedded runtime: models from a folder of GGUF files, each served by llama.cpp in a child process."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace as changed
from pathlib import Path
from typing import ParamSpec, TypeVar

from api.errors import BackEndFailed, InvalidOption, PromptTooLong, Unusable
from api.runtime import (
    ExistingModel,
    Message,
    ModelInfo,
    ModelSource,
    Options,
    Persona,
    Piece,
    Progress,
    TokenCount,
)
from api.runtime.child import Launch, Limits, LoadFailed, devices
from api.runtime.children import Children
from api.runtime.devices import gpu_hint, nvidia_gpu_present
from api.runtime.gguf import read_header
from api.runtime.llama_chat import answer, prompt
from api.runtime.llama_options import as_body, check_options
from api.runtime.registry import Entry, Incoming, Registry
from api.runtime.templates import check_template
from api.settings import Settings

_EMBED_BATCH = 8
_TOKENIZE_BATCH = 32
P = ParamSpec("P")
T = TypeVar("T")


class LlamaCppRuntime:
    """`ModelRuntime` over a registry and the children that serve its models."""

    def __init__(
        self,
        registry: Registry,
        children: Children,
        *,
        context_length: int = 4096,
        parallel_requests: int = 4,
        max_answer_tokens: int = 1024,
        gpu_present: Callable[[], bool] = nvidia_gpu_present,
    ) -> None:
        self._registry = registry
        self._children = children
        self._context_length = context_length
        self._parallel_requests = parallel_requests
        self._max_answer_tokens = max_answer_tokens
        self._gpu_present = gpu_present
        self._devices: list[str] | None = None

    async def models(self) -> list[ModelInfo]:
        """All models, embedding models included, sorted by name."""
        return await _in_thread(lambda: [self._info(entry) for entry in self._registry.entries()])

    async def show(self, name: str) -> ModelInfo:
        """One model; without capabilities when its file is missing."""
        return await _in_thread(self._info, self._registry.get(name))

    async def create_model(
        self, name: str, source: ModelSource, persona: Persona, *, replace: bool = False
    ) -> AsyncIterator[Progress]:
        """Create a model from another one or from a GGUF file. What is new, file or template, is loaded once."""
        if not replace:
            self._registry.refuse_taken(name)
        if persona.template is not None:
            await _check_template(persona.template)
        base: str | None = None
        if isinstance(source, ExistingModel):
            entry = self._registry.get(source.name)
            base, blob = entry.name, self._registry.hold(entry.blob)
            has_news = persona.template is not None
            persona = _inherited(persona, entry.persona)
        else:
            has_news = True
            incoming = await _in_thread(self._receive, source.path)
            try:
                while await _in_thread(incoming.step):
                    yield Progress("copying", incoming.done_bytes, incoming.total_bytes)
                blob = await _in_thread(self._registry.place, incoming)
            finally:
                incoming.discard()
        try:
            if has_news:
                yield Progress("loading")
                await self._try_out(blob, persona)
            await _in_thread(
                lambda: self._registry.record(name, blob, persona, base, replace=replace)
            )
        finally:
            self._release(blob)

    async def rename(self, name: str, new_name: str) -> None:
        """Give a model another name."""
        await _in_thread(self._registry.rename, name, new_name)

    async def delete_model(self, name: str) -> None:
        """Delete a model; its weights stay as long as another one is made of them."""
        entry = await _in_thread(self._registry.delete, name)
        self._release(self._registry.hold(entry.blob))

    async def chat(
        self, name: str, messages: Sequence[Message], options: Options
    ) -> AsyncIterator[Piece]:
        """Answer in pieces; closing the iterator stops the generation in the child."""
        entry, header = self._chat_model(name)
        chosen = options.over(entry.persona.parameters)
        check_options(chosen, header.context_length)
        turns = _with_system(entry.persona, messages)
        launch = self._launch(entry.blob, entry.persona, chosen.num_ctx)
        context = min(launch.context_length, chosen.num_ctx or launch.context_length)
        async with self._children.use(launch) as child:
            asked = await prompt(child.client, turns, header.markers)
            room = context - asked.tokens
            if room < (options.max_tokens or 1):
                raise PromptTooLong(asked.tokens, max(0, context - (options.max_tokens or 1)))
            most = min(chosen.max_tokens or self._max_answer_tokens, room)
            async with (
                child.turns,
                aclosing(answer(child.client, asked, as_body(chosen), most)) as pieces,
            ):
                async for piece in pieces:
                    yield piece

    async def count_tokens(self, name: str, messages: Sequence[Message]) -> TokenCount:
        """The exact number of tokens, by the model's own template and tokenizer."""
        entry, header = self._chat_model(name)
        async with self._children.use(self._launch(entry.blob, entry.persona)) as child:
            turns = _with_system(entry.persona, messages)
            asked = await prompt(child.client, turns, header.markers)
            return TokenCount(asked.tokens, exact=True)

    async def tokenize_lengths(self, name: str, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without those that a model puts around it."""
        entry = self._registry.get(name)
        lengths: list[int] = []
        async with self._children.use(self._launch(entry.blob, entry.persona)) as child:
            for start in range(0, len(texts), _TOKENIZE_BATCH):
                asked = (
                    child.client.tokenize(text, add_special=False, parse_special=False)
                    for text in texts[start : start + _TOKENIZE_BATCH]
                )
                lengths += [len(ids) for ids in await asyncio.gather(*asked)]
        return lengths

    async def embed(self, name: str, texts: Sequence[str]) -> list[list[float]]:
        """One normalised vector a text; a text that does not fit is refused, never cut."""
        entry = self._registry.get(name)
        if not self._registry.header(entry.blob).embeds:
            raise InvalidOption(f"Model {entry.name!r} makes text, no vectors. Use another model.")
        launch = self._launch(entry.blob, entry.persona)
        vectors: list[list[float]] = []
        async with self._children.use(launch) as child:
            for start in range(0, len(texts), _EMBED_BATCH):
                try:
                    async with child.turns:
                        vectors += await child.client.embed(texts[start : start + _EMBED_BATCH])
                except PromptTooLong:
                    await self._refuse_longest(name, texts, start, launch.context_length)
                    raise
        return vectors

    async def release_memory(self) -> None:
        """Stop every child, after the requests that are open."""
        await self._children.stop_all()

    async def busy(self) -> int:
        """Generations that go on now, by the children's own word."""
        counts = [child.client.busy_slots() for child in self._children.loaded()]
        return sum(await asyncio.gather(*counts))

    async def check(self) -> tuple[str, ...]:
        """Hints for the operator; `Unavailable` when llama.cpp cannot be loaded at all."""
        if self._devices is None:
            self._devices = await devices()
        unreadable = [
            f"The model manifest {name} cannot be read: restore it or remove it."
            for name in self._registry.unreadable
        ]
        missing = [
            f"The file of model {entry.name!r} is missing: create the model again or delete it."
            for entry in self._registry.entries()
            if not self._registry.path(entry.blob).is_file()
        ]
        return (*gpu_hint(self._devices, present=self._gpu_present()), *unreadable, *missing)

    async def close(self) -> None:
        """End all children; open requests end with an error."""
        await self._children.close()

    def _info(self, entry: Entry) -> ModelInfo:
        info = ModelInfo(
            name=entry.name,
            size_bytes=0,
            context_length=0,
            capabilities=frozenset(),
            template=entry.persona.template or "",
            persona=entry.persona,
            modified_at=entry.created_at,
        )
        try:
            header = self._registry.header(entry.blob)
        except BackEndFailed:
            return info
        return changed(
            info,
            size_bytes=header.size_bytes,
            context_length=header.context_length,
            capabilities=frozenset({"embed"} if header.embeds else {"chat", "json_schema"}),
            template=entry.persona.template or header.template,
            quantization=header.quantization,
            parameter_count=header.parameter_count,
        )
