"""The embedded runtime: models from a folder of files, each served in a child process.

A GGUF file is served by llama.cpp, an encoder's ONNX file by ONNX Runtime.
"""

import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

from api.errors import InvalidOption, PromptTooLong, Unusable
from api.runtime import (
    ExistingModel,
    GGUFFile,
    Message,
    ModelInfo,
    ModelRef,
    ModelSource,
    Options,
    Persona,
    Piece,
    TokenCount,
    TrainedFrom,
    name_of,
)
from api.runtime.batches import MAX_TEXTS, batches
from api.runtime.gguf import Header
from api.runtime.lengths import answer_length, loaded_context, most_tokens
from api.runtime.llama_cpp.body import require_tokens
from api.runtime.llama_cpp.chat import (
    Prompt,
    answer,
    count,
    prompt,
    raw_prompt,
    require_literal,
)
from api.runtime.llama_cpp.child import Launch, LoadFailed
from api.runtime.llama_cpp.children import Children
from api.runtime.llama_cpp.client import LlamaClient
from api.runtime.llama_cpp.devices import gpu_hint, nvidia_gpu_present
from api.runtime.llama_cpp.manifest import Entry
from api.runtime.llama_cpp.receiving import Files, held
from api.runtime.llama_cpp.registry import Registry
from api.runtime.options import check_options
from api.runtime.personas import as_read, inherited
from api.runtime.presets import written_out
from api.runtime.templates import check_template
from api.runtime.threads import in_thread, in_thread_for_good
from api.runtime.tools import offered
from api.runtime.training import Training
from finetune.job.device import Device

_TOKENIZE_TEXTS = 500
ENCODER_BATCH = 64
"""Texts that an encoder is given at once, so that its threads end together."""


class LlamaCppRuntime:
    """`ModelRuntime` over a registry and the children that serve its models."""

    def __init__(
        self,
        registry: Registry,
        children: Children,
        *,
        context_length: int = 4096,
        parallel_requests: int = 4,
        gpu_present: Callable[[], bool] = nvidia_gpu_present,
    ) -> None:
        self._registry = registry
        self._children = children
        self._context_length = context_length
        self._parallel_requests = parallel_requests
        self._gpu_present = gpu_present

    async def models(self) -> list[ModelInfo]:
        """All models, embedding models included, sorted by name."""
        return await in_thread(lambda: [self._registry.info(e) for e in self._registry.entries()])

    async def show(self, model: ModelRef) -> ModelInfo:
        """One model; of size 0 when its file is missing or damaged."""
        return await in_thread(self._registry.info, self._registry.get(name_of(model)))

    async def create_model(
        self, name: str, source: ModelSource, persona: Persona, *, replace: bool = False
    ) -> None:
        """Create a model from another one or from a file. What is new, file or template, is loaded once."""
        if not replace:
            self._registry.refuse_taken(name)
        persona = written_out(persona)
        if persona.template is not None:
            await _check_template(persona.template)
        base: str | None = None
        trained_from: TrainedFrom | None = None
        has_news = persona.template is not None
        if isinstance(source, ExistingModel):
            entry = self._registry.get(source.name)
            base, persona = entry.name, inherited(persona, entry.persona)
        else:
            has_news = True
            trained_from = source.trained_from if isinstance(source, GGUFFile) else None
        async with held(self._registry, source, self._release) as files:
            header = await in_thread(self._registry.header, files.blob)
            check_options(persona.parameters, header.context_length)
            if has_news:
                await self._try_out(files, header, persona)
            await in_thread_for_good(
                lambda: self._registry.record(
                    name,
                    files.blob,
                    persona,
                    base,
                    may_replace=replace,
                    trained_from=trained_from,
                    projector=files.projector,
                )
            )

    async def rename(self, name: str, new_name: str) -> None:
        """Give a model another name."""
        await in_thread(self._registry.rename, name, new_name)

    async def delete_model(self, name: str) -> None:
        """Delete a model; its weights stay as long as another one is made of them."""
        entry = await in_thread(self._registry.delete, name)
        for file in entry.files:
            await self._release(self._registry.hold(file))

    async def chat(
        self,
        model: ModelRef,
        messages: Sequence[Message],
        options: Options,
        *,
        least_tokens: int | None = None,
        prompt_tokens: int | None = None,
    ) -> AsyncGenerator[Piece, None]:
        """Answer in pieces; closing the iterator stops the generation in the child."""
        entry, header = await self._find(model, "text")
        chosen = _chosen(entry, header, options)
        info = self._registry.info(entry)
        turns = as_read(info, messages)
        tools = offered(chosen, info.capabilities)
        require_literal(turns, tools, header.markers)
        at_most = most_tokens(info.template, turns, chosen)
        answering = self._answer(
            (entry, header),
            chosen,
            least_tokens or options.max_tokens or 1,
            lambda client: prompt(client, turns, header.markers, info.template, chosen, tools),
            at_most if tools or not prompt_tokens else prompt_tokens,  # that counts no tools
        )
        async with aclosing(answering) as pieces:
            async for piece in pieces:
                yield piece

    async def complete(
        self, model: ModelRef, prompt: str, options: Options, *, least_tokens: int | None = None
    ) -> AsyncGenerator[Piece, None]:
        """Go on with a text in pieces; closing the iterator stops the generation in the child."""
        entry, header = await self._find(model, "text")
        answering = self._answer(
            (entry, header),
            _chosen(entry, header, options),
            least_tokens or options.max_tokens or 1,
            lambda client: raw_prompt(client, prompt),
        )
        async with aclosing(answering) as pieces:
            async for piece in pieces:
                yield piece

    async def _answer(
        self,
        found: tuple[Entry, Header],
        chosen: Options,
        least: int,
        ask: Callable[[LlamaClient], Awaitable[Prompt]],
        at_most: float = math.inf,
    ) -> AsyncGenerator[Piece, None]:
        """The answer of at least so many tokens to a prompt, which has `at_most` where its tokens are not known."""
        entry, header = found
        launch = self._launch(_files(entry), header, entry.persona, chosen.num_ctx)
        context = chosen.num_ctx or launch.context_length
        async with self._children.use(launch) as child:
            asked = await ask(child.client)
            most = await answer_length(
                context,
                header.context_length,
                chosen.max_tokens,
                least,
                asked.tokens or at_most,
                lambda: count(child.client, asked),
            )
            async with (
                child.turns,
                aclosing(answer(child.client, asked, chosen, most)) as pieces,
            ):
                async for piece in pieces:
                    yield piece

    async def count_tokens(
        self, model: ModelRef, messages: Sequence[Message], num_ctx: int | None = None
    ) -> TokenCount:
        """The exact number of tokens, by the model's own template and tokenizer."""
        entry, header = await self._find(model, "text")
        info = self._registry.info(entry)
        turns = as_read(info, messages)
        launch = self._launch(_files(entry), header, entry.persona, num_ctx)
        async with self._children.use(launch) as child:
            asked = await prompt(child.client, turns, header.markers, info.template)
            return TokenCount(await count(child.client, asked), exact=True)

    async def tokenize_lengths(
        self, model: ModelRef, texts: Sequence[str], num_ctx: int | None = None
    ) -> list[int]:
        """Tokens of each text, without those that a model puts around it."""
        entry, header = await self._find(model)
        launch = self._launch(_files(entry), header, entry.persona, num_ctx)
        lengths: list[int] = []
        async with self._children.use(launch) as child:
            for start in range(0, len(texts), _TOKENIZE_TEXTS):
                some = texts[start : start + _TOKENIZE_TEXTS]
                lengths += [len(ids) for ids in await child.client.tokenize(some)]
        return lengths

    async def embed(self, model: ModelRef, texts: Sequence[str]) -> list[list[float]]:
        """One normalised vector a text; a text that does not fit is refused, never cut."""
        entry, header = await self._find(model, "vectors")
        launch = self._launch(_files(entry), header, entry.persona)
        vectors: list[list[float]] = []
        async with self._children.use(launch) as child:
            for start, batch in batches(texts, ENCODER_BATCH if launch.is_encoder else MAX_TEXTS):
                try:
                    async with child.turns:
                        vectors += await child.client.embed(batch, self._children.threads())
                except PromptTooLong as error:
                    lengths = await self.tokenize_lengths(entry.name, batch)
                    longest = max(range(len(batch)), key=lambda n: lengths[n])
                    raise Unusable(
                        f"Text {start + longest} has {lengths[longest]} tokens; the embedding "
                        f"model reads {launch.context_length}, its own marks included. Split it.",
                        index=start + longest,
                        tokens=lengths[longest],
                    ) from error
        return vectors

    async def rerank(self, model: ModelRef, query: str, texts: Sequence[str]) -> list[float]:
        """One score a text; nothing is cut."""
        entry, header = await self._find(model, "scores")
        launch = self._launch(_files(entry), header, entry.persona)
        scores: list[float] = []
        async with self._children.use(launch) as child:
            for _, batch in batches(texts):
                try:
                    async with child.turns:
                        scores += await child.client.rerank(query, batch)
                except PromptTooLong as error:
                    raise Unusable(
                        f"A text and the query have {error.extra['prompt_tokens']} tokens; the reranker reads "
                        f"{launch.context_length} of both together."
                    ) from error
        return scores

    async def release_memory(self, device: Device | None = None) -> None:
        """Stop every child, after the requests that are open, unless they compute on another device."""
        await self._children.stop_all(device)

    def reserve(self, trainings: Sequence[Training]) -> None:
        """No child is started on a device that a training has."""
        self._children.reserved.set(trainings)

    async def check(self) -> tuple[str, ...]:
        """Hints for the operator; `Unavailable` when llama.cpp cannot be loaded at all."""
        kinds = await self._children.devices()
        unreadable = [
            f"The model manifest {name} cannot be read: restore it or remove it."
            for name in self._registry.unreadable
        ]
        missing = [
            f"The file of model {entry.name!r} is missing: create the model again or delete it."
            for entry in self._registry.entries()
            if not all(self._registry.path(file).is_file() for file in entry.files)
        ]
        return (*gpu_hint(kinds, present=self._gpu_present()), *unreadable, *missing)

    async def close(self) -> None:
        """End all children; open requests end with an error."""
        await self._children.close()

    async def _find(self, model: ModelRef, wanted: str = "") -> tuple[Entry, Header]:
        """A model and its header; `InvalidOption` when it does not make what is wanted."""
        entry = self._registry.get(name_of(model))  # in memory, so it is found each time
        header = await in_thread(self._registry.header, entry.blob)
        if wanted and header.makes != wanted:
            raise InvalidOption(
                f"Model {entry.name!r} makes {header.makes}, no {wanted}. Use another model."
            )
        return entry, header

    def _launch(
        self, files: Files, header: Header, persona: Persona, num_ctx: int | None = None
    ) -> Launch:
        """The child for a model: with the usual context, or a larger one that holds `num_ctx` tokens."""
        wanted = num_ctx or persona.parameters.num_ctx
        context = loaded_context(self._context_length, header.context_length, wanted)
        usual = min(self._context_length, header.context_length)
        slots = max(1, self._parallel_requests * usual // context)
        projector = self._registry.path(files.projector) if files.projector else None
        return Launch(
            self._registry.path(files.blob),
            persona.template or "",
            context,
            slots,
            header.embeds,
            header.reranks,
            projector,
        )

    async def _try_out(self, files: Files, header: Header, persona: Persona) -> None:
        """Load new weights or a new template once, so that what does not work is never visible."""
        try:
            async with self._children.use(self._launch(files, header, persona)) as child:
                if header.makes == "text":
                    hello = await prompt(child.client, [Message("user", "Hello")], frozenset())
                    await count(child.client, hello)
        except LoadFailed as error:
            raise Unusable(error.detail) from error

    async def _release(self, blob: str) -> None:
        """Let go of weights; when they are gone, their children go too."""
        if not await in_thread_for_good(lambda: self._registry.release(blob)):
            self._children.retire_those_of(self._registry.path(blob))


async def _check_template(template: str) -> None:
    fault = await in_thread(check_template, template)
    if fault:
        raise Unusable(f"The chat template cannot be used: {fault}.")


def _files(entry: Entry) -> Files:
    return Files(entry.blob, entry.projector)


def _chosen(entry: Entry, header: Header, options: Options) -> Options:
    """The options with the persona's, checked."""
    chosen = options.over(entry.persona.parameters)
    check_options(chosen, header.context_length)
    require_tokens(chosen, header.vocabulary)
    return chosen
