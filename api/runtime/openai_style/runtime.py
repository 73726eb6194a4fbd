"""The runtime over one back end on OpenAI's wire. Names, personas and options of its models are kept here, by us."""

import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from dataclasses import replace as changed
from datetime import UTC, datetime
from typing import Any

from api.errors import ApiError, InvalidOption, PromptTooLong, Unusable
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
    name_of,
)
from api.runtime.batches import batches
from api.runtime.lengths import answer_length, most_tokens
from api.runtime.openai_style.answers import pieces_of, vectors_of
from api.runtime.openai_style.body import chat_body, completion_body, with_length
from api.runtime.openai_style.client import OpenAIClient
from api.runtime.openai_style.counting import counting_of
from api.runtime.openai_style.dialect import Dialect
from api.runtime.openai_style.directory import Directory, RemoteModel
from api.runtime.openai_style.learning import learned
from api.runtime.openai_style.rendering import rendered
from api.runtime.options import check_options, check_taken
from api.runtime.personas import as_read, inherited
from api.runtime.presets import written_out
from api.runtime.templates import check_template
from api.runtime.threads import in_thread
from api.runtime.tools import offered
from api.runtime.training import Training
from finetune.job.device import Device

_CHECK_SECONDS = 60.0
"""So long is believed what was found of a server, which is asked once and may take `_ANSWER_SECONDS`."""
_ANSWER_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request: what is sent where, at least how long the answer is, and at most how long the prompt."""

    model: RemoteModel
    path: str
    body: Mapping[str, Any]
    options: Options
    least: int
    at_most: float
    count: Callable[[], Awaitable[TokenCount]]


class OpenAIStyleRuntime:
    """`ModelRuntime` over the models that a directory says are on one back end."""

    def __init__(self, client: OpenAIClient, dialect: Dialect, directory: Directory) -> None:
        self._client = client
        self._dialect = dialect
        self._directory = directory
        self._counting = counting_of(client, dialect)
        self._asked_at = -math.inf

    async def models(self) -> list[ModelInfo]:
        """All models, by name; nobody is asked."""
        mine = [one.info for one in self._directory.all() if one.back_end == self._client.name]
        return sorted(map(self._dialect.taking, mine), key=lambda info: info.name.lower())

    @property
    def fault(self) -> str:
        """What was the matter with the last call; empty after one that was answered."""
        return self._client.fault

    async def learn(self, models: Collection[RemoteModel]) -> list[RemoteModel]:
        """Models with what the server tells of them; `ApiError` where it does not answer."""
        return await learned(self._client, self._dialect, models)

    async def show(self, model: ModelRef) -> ModelInfo:
        """One model."""
        return self._dialect.taking(self._get(model).info)

    async def create_model(
        self, name: str, source: ModelSource, persona: Persona, *, replace: bool = False
    ) -> None:
        """A persona over a model of the back end. A template of its own is rendered here, and the server goes on with
        the text: then it is offered no functions and no images.
        """
        if not isinstance(source, ExistingModel):
            raise InvalidOption("A file goes to the home runtime, and to no back end.")
        base = self._get(source.name)
        made = inherited(written_out(persona), base.persona)
        abilities = base.capabilities
        if made.template is not None:
            abilities -= {"tools", "images"}
            await self._require_usable(made.template)
        check_options(made.parameters, base.context_length)
        now = datetime.now(UTC)
        await self._directory.put(
            changed(
                base,
                name=name,
                base=base.name,
                persona=made,
                capabilities=abilities,
                created_at=now,
            ),
            may_replace=replace,
        )

    async def rename(self, name: str, new_name: str) -> None:
        """Give a model another name of ours."""
        await self._directory.rename(self._get(name), new_name)

    async def delete_model(self, name: str) -> None:
        """Forget a name; the back end keeps its model."""
        await self._directory.remove(self._get(name))

    async def chat(
        self,
        model: ModelRef,
        messages: Sequence[Message],
        options: Options,
        *,
        least_tokens: int | None = None,
        prompt_tokens: int | None = None,
    ) -> AsyncGenerator[Piece, None]:
        """Answer in pieces; closing the iterator ends the request."""
        found, chosen = self._chosen(model, options)
        turns = as_read(found.info, messages)
        least = least_tokens or options.max_tokens or 1
        if found.persona.template is not None:
            offered(chosen, found.capabilities)
            text = await rendered(found.persona.template, turns)
            asked = await self._going_on(found, chosen, text, least, is_rendered=True)
        else:
            tools = offered(chosen, found.capabilities)
            at_most = most_tokens(found.template, turns, chosen)
            asked = _Asked(
                found,
                "/chat/completions",
                chat_body(self._dialect, turns, chosen, tools),
                chosen,
                least,
                at_most if tools or not prompt_tokens else prompt_tokens,  # that counts no tools
                lambda: self._counting.conversation(found.remote, turns),
            )
        async with aclosing(self._answer(asked)) as pieces:
            async for piece in pieces:
                yield piece

    async def complete(
        self, model: ModelRef, prompt: str, options: Options, *, least_tokens: int | None = None
    ) -> AsyncGenerator[Piece, None]:
        """Go on with a text in pieces: as tokens, where the server tells them."""
        found, chosen = self._chosen(model, options)
        least = least_tokens or options.max_tokens or 1
        asked = await self._going_on(found, chosen, prompt, least)
        async with aclosing(self._answer(asked)) as pieces:
            async for piece in pieces:
                yield piece

    async def count_tokens(
        self,
        model: ModelRef,
        messages: Sequence[Message],
        num_ctx: int | None = None,  # noqa: ARG002
    ) -> TokenCount:
        """Tokens of the conversation: exact where the server counts them."""
        found = self._get(model)
        _require(found, "chat")
        turns = as_read(found.info, messages)
        if found.persona.template is None:
            return await self._counting.conversation(found.remote, turns)
        text = await rendered(found.persona.template, turns)
        ids = await self._counting.prompt(found.remote, text, is_rendered=True)
        return await self._count(found, text, ids)

    async def tokenize_lengths(
        self,
        model: ModelRef,
        texts: Sequence[str],
        num_ctx: int | None = None,  # noqa: ARG002
    ) -> list[int]:
        """Tokens of each text: exact where the server counts them."""
        return await self._counting.texts(self._get(model).remote, texts)

    async def embed(self, model: ModelRef, texts: Sequence[str]) -> list[list[float]]:
        """One normalised vector a text; a text that does not fit is refused, never cut."""
        found = self._get(model)
        _require(found, "embed")
        vectors: list[list[float]] = []
        for start, batch in batches(texts, self._dialect.texts_at_once):
            body = {"model": found.remote, "input": list(batch), "encoding_format": "float"}
            try:
                answer = await self._client.post("/embeddings", body, found.remote)
            except PromptTooLong as error:
                lengths = await self._counting.texts(found.remote, batch)
                longest = max(range(len(batch)), key=lambda n: lengths[n])
                raise Unusable(
                    f"Text {start + longest} has {lengths[longest]} tokens; the embedding model reads "
                    f"{found.context_length}, its own marks included. Split it.",
                    index=start + longest,
                    tokens=lengths[longest],
                ) from error
            vectors += vectors_of(answer, len(batch))
        return vectors

    async def rerank(
        self,
        model: ModelRef,
        query: str,  # noqa: ARG002
        texts: Sequence[str],  # noqa: ARG002
    ) -> list[float]:
        """OpenAI's wire has no scores."""
        found = self._get(model)
        raise InvalidOption(f"Model {found.name!r} runs on a back end, which gives no scores.")

    async def release_memory(self, device: Device | None = None) -> None:
        """Nothing of it lies here."""

    def reserve(self, trainings: Sequence[Training]) -> None:
        """Nothing of it is loaded here."""

    async def check(self) -> tuple[str, ...]:
        """A hint where the server does not answer: that keeps nobody from asking what is elsewhere. It is asked once
        in a while.
        """
        if time.monotonic() - self._asked_at >= _CHECK_SECONDS:
            self._asked_at, before = time.monotonic(), self.fault
            try:
                await self._client.get("/models", within_seconds=_ANSWER_SECONDS)
            except ApiError as error:
                if error.extra.get("code") == "back_end_lacks_model":  # not every server lists them
                    self._client.fault = before
        return (self.fault,) if self.fault else ()

    async def retire(self) -> None:
        """Close the connections once the last answer that is under way has ended."""
        await self._client.retire()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _get(self, model: ModelRef) -> RemoteModel:
        return self._directory.get(name_of(model), self._client.name)

    def _chosen(self, model: ModelRef, options: Options) -> tuple[RemoteModel, Options]:
        """A model that writes, and the options with its persona's, checked."""
        found = self._get(model)
        _require(found, "chat")
        chosen = options.over(found.persona.parameters)
        check_options(chosen, found.context_length)
        check_taken(chosen, self._dialect.taking(found.info))
        return found, chosen

    async def _require_usable(self, template: str) -> None:
        """`errors.Unusable` for a template that renders nothing, or none that the server goes on with."""
        if not self._dialect.completions:
            raise Unusable(
                f"The back end {self._client.name!r} applies its own template and goes on with no other text. "
                "Leave the template out."
            )
        if fault := await in_thread(check_template, template):
            raise Unusable(f"The chat template cannot be used: {fault}.")

    async def _going_on(
        self,
        found: RemoteModel,
        chosen: Options,
        text: str,
        least: int,
        *,
        is_rendered: bool = False,
    ) -> _Asked:
        """A text that is gone on with."""
        if not self._dialect.completions:
            raise InvalidOption(
                f"The back end {found.back_end!r} goes on with no text. Send it as a conversation.",
                where="prompt",
            )
        ids = await self._counting.prompt(found.remote, text, is_rendered=is_rendered)
        if ids is not None and not ids:
            raise InvalidOption("prompt: this model cannot begin with nothing.", where="prompt")
        return _Asked(
            found,
            "/completions",
            completion_body(self._dialect, text if ids is None else ids, chosen),
            chosen,
            least,
            len(ids) if ids else most_tokens("", [Message("user", text)], chosen),
            lambda: self._count(found, text, ids),
        )

    async def _count(self, found: RemoteModel, text: str, ids: list[int] | None) -> TokenCount:
        if ids is not None:
            return TokenCount(len(ids), exact=True)
        (number,) = await self._counting.texts(found.remote, [text])
        return TokenCount(number, exact=False)

    async def _answer(self, asked: _Asked) -> AsyncGenerator[Piece, None]:
        most = await self._length(asked)
        body = with_length(self._dialect, {"model": asked.model.remote, **asked.body}, most)
        chunks = self._client.stream(asked.path, body, asked.model.remote)
        answering = pieces_of(chunks, asked.options, asked.count)
        async with aclosing(answering) as pieces:
            async for piece in pieces:
                yield piece

    async def _length(self, asked: _Asked) -> int:
        """Tokens that the answer may have. Whether a prompt fits that is not counted exactly, the server says."""
        context = asked.options.num_ctx or asked.model.context_length
        if self._dialect.counts:

            async def count() -> int:
                return (await asked.count()).number

            return await answer_length(
                context,
                asked.model.context_length,
                asked.options.max_tokens,
                asked.least,
                asked.at_most,
                count,
            )
        if asked.options.max_tokens:
            return asked.options.max_tokens
        return max(asked.least, context - (await asked.count()).number)


def _require(model: RemoteModel, ability: str) -> None:
    if ability not in model.capabilities:
        does = ", ".join(sorted(model.capabilities)) or "nothing"
        raise InvalidOption(
            f"Model {model.name!r} can {does}, and not {ability}. Use another model."
        )
