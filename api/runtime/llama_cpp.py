"""The embedded runtime: models from a folder of GGUF files, each served by llama.cpp in a child process."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing

from api.errors import InvalidOption, PromptTooLong, Unusable
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
from api.runtime.child import Launch, LoadFailed, devices
from api.runtime.children import Children
from api.runtime.devices import gpu_hint, nvidia_gpu_present
from api.runtime.gguf import Header
from api.runtime.llama_chat import answer, prompt
from api.runtime.llama_options import as_body, check_options
from api.runtime.registry import Entry, Registry
from api.runtime.templates import check_template
from api.runtime.threads import in_thread

_EMBED_BATCH = 8
_TOKENIZE_BATCH = 32


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
        return await in_thread(lambda: [self._registry.info(e) for e in self._registry.entries()])

    async def show(self, name: str) -> ModelInfo:
        """One model; without capabilities when its file is missing."""
        return await in_thread(self._registry.info, self._registry.get(name))

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
            incoming = await in_thread(self._registry.receive, source.path)
            try:
                while await in_thread(incoming.step):
                    yield Progress("copying", incoming.done_bytes, incoming.total_bytes)
                blob = await in_thread(self._registry.place, incoming)
            finally:
                incoming.discard()
        try:
            if has_news:
                yield Progress("loading")
                await self._try_out(blob, persona)
            await in_thread(
                lambda: self._registry.record(name, blob, persona, base, replace=replace)
            )
        finally:
            self._release(blob)

    async def rename(self, name: str, new_name: str) -> None:
        """Give a model another name."""
        await in_thread(self._registry.rename, name, new_name)

    async def delete_model(self, name: str) -> None:
        """Delete a model; its weights stay as long as another one is made of them."""
        entry = await in_thread(self._registry.delete, name)
        self._release(self._registry.hold(entry.blob))

    async def chat(
        self, name: str, messages: Sequence[Message], options: Options
    ) -> AsyncGenerator[Piece, None]:
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
        asked = [child.client.slots() for child in self._children.loaded()]
        return sum(
            slot["is_processing"] for slots in await asyncio.gather(*asked) for slot in slots
        )

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

    def _chat_model(self, name: str) -> tuple[Entry, Header]:
        entry = self._registry.get(name)
        header = self._registry.header(entry.blob)
        if header.embeds:
            raise InvalidOption(f"Model {entry.name!r} makes vectors, no text. Use another model.")
        return entry, header

    def _launch(self, blob: str, persona: Persona, num_ctx: int | None = None) -> Launch:
        """The child for a model: with the usual context, or a larger one that holds `num_ctx` tokens."""
        header = self._registry.header(blob)
        context, slots = min(self._context_length, header.context_length), self._parallel_requests
        while num_ctx and context < num_ctx:
            larger = min(2 * context, header.context_length)
            context, slots = larger, max(1, slots * context // larger)
        return Launch(
            self._registry.path(blob), persona.template or "", context, slots, header.embeds
        )

    async def _try_out(self, blob: str, persona: Persona) -> None:
        """Load new weights or a new template once, so that what does not work is never visible."""
        launch = self._launch(blob, persona)
        try:
            async with self._children.use(launch) as child:
                if not launch.embeds:
                    await prompt(child.client, [Message("user", "Hello")], frozenset())
        except LoadFailed as error:
            raise Unusable(error.detail) from error

    async def _refuse_longest(
        self, name: str, texts: Sequence[str], start: int, limit: int
    ) -> None:
        """Say which text of a batch is too long to embed."""
        batch = texts[start : start + _EMBED_BATCH]
        lengths = await self.tokenize_lengths(name, batch)
        longest = max(range(len(batch)), key=lambda n: lengths[n])
        raise Unusable(
            f"Text {start + longest} has {lengths[longest]} tokens; the embedding model reads "
            f"{limit} with its own marks. Split it.",
            index=start + longest,
            tokens=lengths[longest],
        )

    def _release(self, blob: str) -> None:
        """Let go of weights; when they are gone, their children go too."""
        self._registry.release(blob)
        if not self._registry.path(blob).exists():
            self._children.retire_those_of(self._registry.path(blob))


async def _check_template(template: str) -> None:
    fault = await in_thread(check_template, template)
    if fault:
        raise Unusable(f"The chat template cannot be used: {fault}.")


def _inherited(persona: Persona, base: Persona) -> Persona:
    return Persona(
        system=persona.system or base.system,
        template=base.template if persona.template is None else persona.template,
        parameters=persona.parameters.over(base.parameters),
    )


def _with_system(persona: Persona, messages: Sequence[Message]) -> list[Message]:
    """The conversation as the model gets it: with the persona's system prompt unless it has one."""
    if not messages:
        raise Unusable("The conversation has no message.")
    if any(message.images for message in messages):
        raise InvalidOption("images: this model cannot see.")
    if persona.system and all(message.role != "system" for message in messages):
        return [Message("system", persona.system), *messages]
    return list(messages)
