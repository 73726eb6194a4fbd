"""The runtime over an Ollama server: its models, its templates, its limits, within the contract of `ModelRuntime`."""

import asyncio
import logging
import re
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress

from api.errors import (
    ApiError,
    BackEndFailed,
    InvalidOption,
    ModelNotFound,
    PromptTooLong,
    Unusable,
)
from api.names import model_key
from api.runtime import (
    ExistingModel,
    Message,
    ModelInfo,
    ModelRef,
    ModelSource,
    Options,
    Persona,
    Piece,
    TokenCount,
)
from api.runtime.batches import batches
from api.runtime.lengths import answer_length, estimated, loaded_context, most_tokens
from api.runtime.ollama.chat import (
    Asked,
    answer,
    conversation,
    count,
    raw_prompt,
    readable,
    require_unicode,
)
from api.runtime.ollama.client import OllamaClient
from api.runtime.ollama.create import check_template, create_from_file, create_from_model
from api.runtime.ollama.errors import TextTooLong
from api.runtime.ollama.half_made import HalfMade, half_made_name
from api.runtime.ollama.library import Library
from api.runtime.ollama.models import OllamaModel, shown_name
from api.runtime.ollama.tokens import WORD_PIECE, Counter, word_pieces
from api.runtime.options import check_options, check_taken
from api.runtime.presets import written_out
from api.runtime.threads import in_thread
from api.runtime.training import Reserved, Training
from finetune.job.device import Device

logger = logging.getLogger(__name__)
UNLOAD_SECONDS = 30.0
_ASK_SECONDS = 0.1
_OLDEST = (0, 12, 6)
_UNKNOWN = (0, 0, 0)


class OllamaRuntime:
    """`ModelRuntime` over one server. `expected` names models that should be there, by the setting that names them."""

    def __init__(
        self,
        client: OllamaClient,
        *,
        context_length: int = 4096,
        idle_unload_seconds: float = 600,
        expected: Mapping[str, str] | None = None,
    ) -> None:
        self._client = client
        self._context_length = context_length
        self._keep_alive = idle_unload_seconds
        self._expected = dict(expected or {})
        self._library = Library(client)
        self._half_made = HalfMade(client)
        self._reserved = Reserved()
        self._counters: dict[str, Counter] = {}

    async def models(self) -> list[ModelInfo]:
        """All models, embedding models included, sorted by name."""
        return [model.info for model in await self._library.models()]

    async def show(self, model: ModelRef) -> ModelInfo:
        """One model."""
        return (await self._library.find(model)).info

    async def create_model(
        self, name: str, source: ModelSource, persona: Persona, *, replace: bool = False
    ) -> None:
        """Create a model from another one or from a GGUF file, which is sent to the server unless it has it."""
        persona = written_out(persona, in_go=True)
        check_template(persona.template)
        base_name = source.name if isinstance(source, ExistingModel) else name
        made = half_made_name(name)
        async with self._library.alone(name, base_name, made):
            if replace:
                await self._drop_damaged(name)
            else:
                await self._library.refuse_taken(name)
            if isinstance(source, ExistingModel):  # looked for here: the server would download it
                base = await self._library.find(source.name, anew=True)
                making, weights = create_from_model(self._client, made, base, persona), base.weights
            else:
                making, weights = create_from_file(self._client, made, source, persona), ""
            async with self._half_made.whole_or_gone(made):
                await making
            if made != name:
                if replace:
                    await self._let_go(name, weights)
                await self._half_made.give_name(made, name, is_new=not replace)

    async def rename(self, name: str, new_name: str) -> None:
        """Give a model another name: copied, then deleted; by way of a third name when only its case changes."""
        async with self._library.alone(name, new_name):
            old = await self._library.name(name)
            if model_key(name) != model_key(new_name):
                await self._library.refuse_taken(new_name)
                await self._move(old, new_name)
            elif shown_name(new_name) != shown_name(old):
                between = f"renaming-{uuid.uuid4().hex}"
                await self._move(old, between)
                await self._move(between, new_name)

    async def delete_model(self, name: str) -> None:
        """Delete a model; the server keeps the layers that others are made of."""
        async with self._library.alone(name):
            try:
                there = await self._library.name(name)
            except ModelNotFound as missing:
                await self._delete_unlisted(name, missing)
            else:
                await self._let_go(there)
                await self._client.delete(there)

    async def chat(
        self,
        model: ModelRef,
        messages: Sequence[Message],
        options: Options,
        *,
        least_tokens: int | None = None,
        prompt_tokens: int | None = None,
    ) -> AsyncGenerator[Piece, None]:
        """Answer in pieces; closing the iterator stops the generation in the server."""
        found, chosen, loaded = await self._chosen(model, options)
        turns = readable(found, messages)
        answering = self._answer(
            found,
            conversation(found, turns, chosen, loaded, self._keep_alive),
            chosen,
            least_tokens or options.max_tokens or 1,
            (not chosen.tools and prompt_tokens)  # which counts no tools
            or most_tokens(found.info.template, turns, chosen, found.said_bytes),
        )
        async with aclosing(answering) as pieces:
            async for piece in pieces:
                yield piece

    async def complete(
        self, model: ModelRef, prompt: str, options: Options, *, least_tokens: int | None = None
    ) -> AsyncGenerator[Piece, None]:
        """Go on with a text in pieces; closing the iterator stops the generation in the server."""
        found, chosen, loaded = await self._chosen(model, options)
        answering = self._answer(
            found,
            raw_prompt(found, prompt, chosen, loaded, self._keep_alive),
            chosen,
            least_tokens or options.max_tokens or 1,
            most_tokens("", [Message("user", prompt)], chosen),
        )
        async with aclosing(answering) as pieces:
            async for piece in pieces:
                yield piece

    async def count_tokens(
        self, model: ModelRef, messages: Sequence[Message], num_ctx: int | None = None
    ) -> TokenCount:
        """The exact number of tokens, by having the model read the prompt; it keeps what it has read."""
        found = await self._library.find(model, "chat")
        turns = readable(found, messages)
        loaded = self._context(found, num_ctx or found.info.persona.parameters.num_ctx)
        asked = conversation(found, turns, Options(), loaded, self._keep_alive)
        return TokenCount(await self._count(asked), exact=True)

    async def tokenize_lengths(
        self,
        model: ModelRef,
        texts: Sequence[str],
        num_ctx: int | None = None,  # noqa: ARG002
    ) -> list[int]:
        """Tokens of each text, for which nothing is loaded: exact for WordPiece vocabularies, else a high estimate."""
        require_unicode(texts)
        counter = await self._counter(await self._library.find(model))
        return await in_thread(counter, texts)

    async def embed(self, model: ModelRef, texts: Sequence[str]) -> list[list[float]]:
        """One normalised vector a text; a text that does not fit is refused, never cut."""
        require_unicode(texts)
        found = await self._library.find(model, "embed")
        context = self._context(found)
        vectors: list[list[float]] = []
        for start, batch in batches(texts):
            self._reserved.require_free("gpu")
            try:
                some = await self._client.embed(
                    found.name, list(batch), {"num_ctx": context}, self._keep_alive
                )
            except (TextTooLong, PromptTooLong) as error:
                lengths = await self.tokenize_lengths(found.info, batch)
                longest = max(range(len(batch)), key=lambda n: lengths[n])
                raise Unusable(
                    f"Text {start + longest} has {lengths[longest]} tokens; the embedding model "
                    f"reads {context}, its own marks included. Split it.",
                    index=start + longest,
                    tokens=lengths[longest],
                ) from error
            if len(some) != len(batch):
                raise BackEndFailed(f"Ollama made {len(some)} vectors of {len(batch)} texts.")
            vectors += some
        return vectors

    async def rerank(
        self,
        model: ModelRef,
        query: str,  # noqa: ARG002
        texts: Sequence[str],  # noqa: ARG002
    ) -> list[float]:
        """Ollama serves no reranker."""
        found = await self._library.find(model)
        raise InvalidOption(f"Ollama serves no reranker, so {found.name!r} gives no scores.")

    async def release_memory(self, device: Device | None = None) -> None:
        """Unload the models that lie on a device, after the requests that are open; one that stays in use is logged."""
        for name in await self._client.loaded(device):
            with suppress(ModelNotFound):
                await self._client.unload(name)
        with suppress(TimeoutError):
            async with asyncio.timeout(UNLOAD_SECONDS):
                while await self._client.loaded(device):
                    await asyncio.sleep(_ASK_SECONDS)
                return
        still = ", ".join(await self._client.loaded(device))
        logger.warning("Ollama still holds %s in memory", still)

    def reserve(self, trainings: Sequence[Training]) -> None:
        """Nothing is loaded while a GPU trains: which one Ollama takes, and whether it has any, it does not say."""
        self._reserved.set(trainings)

    async def check(self) -> tuple[str, ...]:
        """Hints for the operator; `Unavailable` when the server is not there."""
        version = await self._client.version()
        there = await self._library.keys()
        missing = tuple(
            f"Ollama has no model {name!r}, which {setting} names. "
            f"Fetch it with: ollama pull {name}"
            for setting, name in self._expected.items()
            if model_key(name) not in there
        )
        number = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
        if _UNKNOWN < number < _OLDEST:
            return (f"Ollama {version} cuts long conversations silently: update it.", *missing)
        return missing

    async def close(self) -> None:
        """Close the connections; the server goes on."""
        await self._half_made.close()
        await self._client.close()

    async def _chosen(self, model: ModelRef, options: Options) -> tuple[OllamaModel, Options, int]:
        """A model that writes, the options with its own, checked, and the context that it is loaded with."""
        found = await self._library.find(model, "chat")
        chosen = options.over(found.info.persona.parameters)
        check_options(chosen, found.info.context_length)
        check_taken(chosen, found.info)
        return found, chosen, self._context(found, chosen.num_ctx)

    async def _answer(
        self, model: OllamaModel, asked: Asked, chosen: Options, least: int, at_most: float
    ) -> AsyncGenerator[Piece, None]:
        """The answer of at least so many tokens to a prompt of at most so many."""
        most = await answer_length(
            chosen.num_ctx or asked.body["options"]["num_ctx"],
            model.info.context_length,
            chosen.max_tokens,
            least,
            at_most,
            lambda: self._count(asked),
        )
        self._reserved.require_free("gpu")
        async with aclosing(answer(self._client, asked, chosen, most)) as pieces:
            async for piece in pieces:
                yield piece

    async def _count(self, asked: Asked) -> int:
        """Tokens of a prompt, which loads the model."""
        self._reserved.require_free("gpu")
        return await count(self._client, asked)

    def _context(self, model: OllamaModel, num_ctx: int | None = None) -> int:
        return loaded_context(self._context_length, model.info.context_length, num_ctx)

    async def _counter(self, model: OllamaModel) -> Counter:
        """What counts tokens of texts for a model, made once."""
        if model.vocabulary != WORD_PIECE:
            return estimated
        if model.digest not in self._counters:
            shown = await self._client.show(model.name, verbose=True)
            counter = await in_thread(word_pieces, shown["model_info"])
            self._counters[model.digest] = counter
        return self._counters[model.digest]

    async def _let_go(self, name: str, weights: str = "") -> None:
        """Unload a model, unless it has these weights, before its name goes or is another one's: the server keeps the
        weights under the name that they were loaded by, and unloads them by no other.
        """
        with suppress(ApiError):
            model = await self._library.find(name)
            if model.weights != weights:
                await self._client.unload(model.name)

    async def _drop_damaged(self, name: str) -> None:
        """Delete a model that cannot be read: of a file that has the same parts, the server would take its own."""
        if await self._library.is_damaged(name):
            await self._client.delete(name)

    async def _delete_unlisted(self, name: str, missing: ModelNotFound) -> None:
        """Delete a model that is damaged so much that the server does not list it, or say that it is `missing`."""
        try:
            await self._client.delete(name)
        except ModelNotFound:
            raise missing from None

    async def _move(self, name: str, new_name: str) -> None:
        await self._client.copy(name, new_name)
        await self._let_go(name)
        try:
            await self._client.delete(name)
        except ApiError:
            with suppress(ApiError):
                await self._client.delete(new_name)
            raise
