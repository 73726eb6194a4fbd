"""FakeRuntime: a small, real ModelRuntime in memory. Its answers are a rule, or texts that a test lines up.

    runtime = FakeRuntime(lambda messages: "You said " + messages[-1].content)
    runtime.will_answer("first answer", BackEndFailed("gone"))             # the second chat fails at once
    runtime.will_answer(Said("half an", BackEndFailed("gone")))            # fails in mid-stream
    runtime.will_answer(Said(calls=[("weather", '{"city": "Rome"}')]))     # calls a tool

A token is a word, and its id the place that it has in an answer. Similar texts get similar vectors. `history` holds
every chat as the model got it, `calls` each call by its name, `loads` each model that a call had to load, with its
context; `open_streams` counts the answers that have begun and not ended.
"""

import asyncio
import hashlib
import json
import re
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import jinja2

from api.errors import (
    InvalidOption,
    ModelDamaged,
    ModelNotFound,
    NameTaken,
    PromptTooLong,
    Unavailable,
    Unusable,
)
from api.runtime import (
    ExistingModel,
    FinishReason,
    GGUFFile,
    Message,
    ModelInfo,
    ModelRef,
    ModelSource,
    Options,
    Persona,
    Piece,
    TokenCount,
    Usage,
    name_of,
)
from api.runtime.lengths import loaded_context
from api.runtime.options import check_options, check_taken
from api.runtime.personas import inherited, require_sight, with_system
from api.runtime.presets import written_out
from api.runtime.tools import offered
from api.runtime.training import Reserved, Training
from finetune.job.device import Device
from tests.fake_answers import DIMENSION as DIMENSION
from tests.fake_answers import BreaksOff as BreaksOff
from tests.fake_answers import Said as Said
from tests.fake_answers import example, logprobs, until_stop, vector

TEMPLATE = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"

Rule = Callable[[Sequence[Message]], str]


@dataclass(frozen=True, slots=True)
class Call:
    """One chat: the messages with the persona's system prompt, the options with the persona's defaults."""

    model: str
    messages: tuple[Message, ...]
    options: Options


def echo(messages: Sequence[Message]) -> str:
    """The rule that answers with the last message."""
    return messages[-1].content


class FakeRuntime:
    """`ModelRuntime` in memory, with a chat model `demo` and an embedding model from the start."""

    def __init__(
        self,
        rule: Rule = echo,
        *,
        delay_seconds: float = 0.0,
        context_length: int = 4096,
        usual_context: int = 4096,
        embedding_model: str = "all-minilm-l6-v2-int8",
        embedding_context: int = 512,
        embedding_title: str = "",
        reranker: str = "",
        device: Device = "cpu",
        tools: bool = False,
    ) -> None:
        self.rule = rule
        self.delay_seconds = delay_seconds
        self.history: list[Call] = []
        self.embedded: list[str] = []
        self.calls: list[str] = []
        self.loads: list[tuple[str, int]] = []
        self.open_streams = 0
        self.memory_releases = 0
        self.device = device
        self.reserved = Reserved()
        self.available = True
        self.damaged: set[str] = set()
        self.made_from: dict[str, ModelSource] = {}
        self.hints: tuple[str, ...] = ()
        self.closed = False
        self._usual_context = usual_context
        self._loaded: dict[str, int] = {}
        self._answers: deque[str | Exception | Said] = deque()
        self._models: dict[str, ModelInfo] = {}
        self._put("demo", context_length, {"chat", "json_schema", *(["tools"] if tools else [])})
        self._put(embedding_model, embedding_context, {"embed"}, embedding_title)
        if reranker:
            self._put(reranker, 64, {"rerank"})

    def will_answer(self, *answers: str | Exception | Said) -> None:
        """Line up the next answers; an exception is raised instead of an answer."""
        self._answers.extend(answers)

    def add_models_of(self, other: "FakeRuntime") -> None:
        """Have another one's models too."""
        self._models |= other._models

    async def models(self) -> list[ModelInfo]:
        """All models, sorted by name."""
        self._require_available()
        return [self._models[key] for key in sorted(self._models) if key not in self.damaged]

    async def show(self, model: ModelRef) -> ModelInfo:
        """One model."""
        if isinstance(model, str):
            self.calls.append("show")
        self._require_available()
        return self._get(name_of(model))

    async def create_model(
        self, name: str, source: ModelSource, persona: Persona, *, replace: bool = False
    ) -> None:
        """Create a model; a GGUF file need only begin like one."""
        self._require_available()
        self._refuse_taken(name, replace)
        if isinstance(source, ExistingModel):
            base = self._get(source.name)
        else:
            base = self._from_file(source.path.read_bytes() if source.path.is_file() else b"")
            if isinstance(source, GGUFFile) and source.projector:
                base = seeing(base)
        try:
            jinja2.Environment(autoescape=True).parse(persona.template or "")
        except jinja2.TemplateError as error:
            raise Unusable(f"The chat template does not parse: {error}.") from error
        made = _made(name, base, written_out(persona))
        check_options(made.persona.parameters, base.context_length)
        await asyncio.sleep(0)
        self._refuse_taken(name, replace)
        self.damaged.discard(name.casefold())
        self._models[name.casefold()] = made
        self.made_from[name] = source

    async def rename(self, name: str, new_name: str) -> None:
        """Give a model another name."""
        model = self._get(name)
        if name.casefold() != new_name.casefold():
            self._refuse_taken(new_name, may_replace=False)
        del self._models[name.casefold()]
        self._models[new_name.casefold()] = replace(model, name=new_name)

    async def delete_model(self, name: str) -> None:
        """Delete a model, a damaged one too."""
        self.damaged.discard(name.casefold())
        self._get(name)
        del self._models[name.casefold()]

    async def chat(
        self,
        model: ModelRef,
        messages: Sequence[Message],
        options: Options,
        *,
        least_tokens: int | None = None,
        prompt_tokens: int | None = None,
    ) -> AsyncGenerator[Piece, None]:
        """Answer word by word."""
        self.calls.append("chat")
        self._require_available()
        found = self._get_chat(name_of(model))
        turns = with_system(found.persona, messages)
        call, tokens, most = self._accepted(found, turns, options, least_tokens)
        assert prompt_tokens in (None, tokens), "the count belongs to another conversation"
        async with aclosing(self._answer(call, tokens, most)) as pieces:
            async for piece in pieces:
                yield piece

    async def complete(
        self, model: ModelRef, prompt: str, options: Options, *, least_tokens: int | None = None
    ) -> AsyncGenerator[Piece, None]:
        """Go on word by word: the rule is asked with the text alone."""
        self.calls.append("complete")
        self._require_available()
        found = self._get_chat(name_of(model))
        call, tokens, most = self._accepted(found, [Message("user", prompt)], options, least_tokens)
        async with aclosing(self._answer(call, tokens, most)) as pieces:
            async for piece in pieces:
                yield piece

    async def _answer(self, call: Call, tokens: int, most: int) -> AsyncGenerator[Piece, None]:
        self.history.append(call)
        answer = self._answers.popleft() if self._answers else self._by_rule(call)
        if isinstance(answer, Exception):
            raise answer
        said = answer if isinstance(answer, Said) else Said(answer)
        words = re.findall(r"\s*\S+", said.text)
        self.open_streams += 1
        try:
            if said.reasoning:
                yield Piece("", reasoning=said.reasoning)
            ends = [most, *(id + 1 for id in call.options.stop_token_ids or ())]
            text = until_stop("".join(words[: min(ends)]), call.options.stop)
            for word in re.findall(r"\s*\S+\s*$|\s*\S+", text):
                await asyncio.sleep(self.delay_seconds)
                yield Piece(word, logprobs=logprobs(word, call.options.logprobs))
            if said.error:
                raise said.error
            if said.calls:
                yield Piece("", calls=said.call_pieces())
            finished: FinishReason = "tool_calls" if said.calls else "stop"
            is_cut = len(words) > most == min(ends)
            finish_reason: FinishReason = "length" if is_cut else finished
            yield Piece("", Usage(finish_reason, tokens, len(text.split())))
        finally:
            self.open_streams -= 1

    def _by_rule(self, call: Call) -> str:
        """What the rule says, or an object that the schema allows."""
        schema = call.options.json_schema
        if schema is None or schema.get("type", "object") != "object":
            return self.rule(call.messages)
        return json.dumps(example(schema, schema))

    async def count_tokens(
        self, model: ModelRef, messages: Sequence[Message], num_ctx: int | None = None
    ) -> TokenCount:
        """One token a word, and one a message."""
        self.calls.append("count_tokens")
        found = self._get_chat(name_of(model))
        self._load(found, num_ctx or found.persona.parameters.num_ctx)
        return TokenCount(_tokens(with_system(found.persona, messages)), exact=True)

    async def tokenize_lengths(
        self, model: ModelRef, texts: Sequence[str], num_ctx: int | None = None
    ) -> list[int]:
        """One token a word."""
        self.calls.append("tokenize_lengths")
        found = self._get(name_of(model))
        self._load(found, num_ctx or found.persona.parameters.num_ctx)
        return [len(text.split()) for text in texts]

    async def embed(self, model: ModelRef, texts: Sequence[str]) -> list[list[float]]:
        """Bags of words, hashed into a few dimensions."""
        self.calls.append("embed")
        self._require_available()
        self.reserved.require_free(self.device)
        found = self._get(name_of(model))
        if "embed" not in found.capabilities:
            raise InvalidOption(f"Model {found.name!r} makes text, no vectors.")
        for index, length in enumerate(len(text.split()) for text in texts):
            if length > found.context_length:
                raise Unusable(f"Text {index} has {length} tokens.", index=index, tokens=length)
        self.embedded += texts
        return [vector(text) for text in texts]

    async def rerank(self, model: ModelRef, query: str, texts: Sequence[str]) -> list[float]:
        """The fewer words a text has, the better."""
        self.calls.append("rerank")
        self._require_available()
        found = self._get(name_of(model))
        if "rerank" not in found.capabilities:
            raise InvalidOption(f"Model {found.name!r} gives no scores.")
        for text in texts:
            if len((query + " " + text).split()) > found.context_length:
                raise Unusable("A text and the query are too long together.")
        return [-float(len(text.split())) for text in texts]

    async def release_memory(self, device: Device | None = None) -> None:
        """Count the call, when it is for the device that the models are on."""
        if device in (None, self.device):
            self.memory_releases += 1

    def reserve(self, trainings: Sequence[Training]) -> None:
        """Refuse what would load a model where one of them trains."""
        self.reserved.set(trainings)
        self._loaded.clear()

    async def check(self) -> tuple[str, ...]:
        """The hints a test has set."""
        self._require_available()
        return self.hints

    async def close(self) -> None:
        """Nothing to stop."""
        self.closed = True

    def gives_sight(self, name: str) -> None:
        """From now on that model takes images."""
        self._models[name.casefold()] = seeing(self._get(name))

    def _put(self, name: str, context_length: int, capabilities: set[str], title: str = "") -> None:
        self._models[name.casefold()] = ModelInfo(
            name=name,
            size_bytes=1000,
            context_length=context_length,
            capabilities=frozenset(capabilities),
            template=TEMPLATE,
            persona=Persona(),
            modified_at=datetime.now(UTC),
            digest=hashlib.sha256(f"weights of {name}".encode()).hexdigest(),
            title=title,
            stops_at_tokens="chat" in capabilities,
        )

    def _load(self, model: ModelInfo, num_ctx: int | None) -> int:
        """The context that the model is loaded with now; another one than before is another load."""
        self.reserved.require_free(self.device)
        context = loaded_context(self._usual_context, model.context_length, num_ctx)
        if self._loaded.get(model.name) != context:
            self._loaded[model.name] = context
            self.loads.append((model.name, context))
        return context

    def _require_available(self) -> None:
        if not self.available:
            raise Unavailable("The runtime is not there.")

    def _get(self, name: str) -> ModelInfo:
        if name.casefold() not in self._models:
            names = [self._models[key].name for key in sorted(self._models)]
            raise ModelNotFound(name, names)
        if name.casefold() in self.damaged:
            raise ModelDamaged(f"Model {name!r} is damaged. Delete it, or create it anew.")
        return self._models[name.casefold()]

    def _get_chat(self, name: str) -> ModelInfo:
        model = self._get(name)
        if "chat" not in model.capabilities:
            raise InvalidOption(f"Model {name!r} makes vectors, no text.")
        return model

    def _refuse_taken(self, name: str, may_replace: bool) -> None:
        if name.casefold() in self._models and not may_replace:
            raise NameTaken(f"A model named {name!r} exists.")

    def _from_file(self, content: bytes) -> ModelInfo:
        if not content.startswith(b"GGUF"):
            raise Unusable("The file is no sound GGUF.")
        return replace(self._models["demo"], size_bytes=len(content), persona=Persona())

    def _accepted(
        self,
        model: ModelInfo,
        turns: Sequence[Message],
        options: Options,
        least_tokens: int | None,
    ) -> tuple[Call, int, int]:
        """The call as the model gets it, its prompt tokens, and the most tokens its answer may have."""
        chosen = options.over(model.persona.parameters)
        require_sight(model, turns)
        check_options(chosen, model.context_length)
        check_taken(chosen, model)
        offered(chosen, model.capabilities)
        tokens = _tokens(turns)
        loaded = self._load(model, chosen.num_ctx)
        context = chosen.num_ctx or loaded
        least = least_tokens or options.max_tokens or 1
        if context - tokens < least:
            raise PromptTooLong(
                tokens,
                max(0, context - least),
                answer=least,
                context_can_grow=context < model.context_length,
            )
        most = min(chosen.max_tokens or context, context - tokens)
        return Call(model.name, tuple(turns), chosen), tokens, most


def seeing(model: ModelInfo) -> ModelInfo:
    """The same model, which takes images too."""
    return replace(model, capabilities=model.capabilities | {"images"})


def _made(name: str, base: ModelInfo, persona: Persona) -> ModelInfo:
    persona = inherited(persona, base.persona)
    return replace(
        base,
        name=name,
        persona=persona,
        template=persona.template or base.template,
        modified_at=datetime.now(UTC),
    )


def _tokens(messages: Sequence[Message]) -> int:
    return sum(1 + len(message.content.split()) for message in messages)
