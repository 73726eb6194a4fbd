"""Answers to a conversation, from documents or plain, and search alone: what every route asks, whatever its manners."""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

from anyio.to_thread import run_sync

from api.errors import BackEndFailed, InvalidOption, ModelNotFound, NotReady
from api.models.bundled import BundledModels
from api.models.catalog import ModelCatalog
from api.models.prompt_template import values_of
from api.rag.chat import chat
from api.rag.completion import Completion, completed
from api.rag.completion import whole as whole_completion
from api.rag.grounded import ALL, Grounded
from api.rag.prompts import PLAIN, Wording, asked_plainly
from api.rag.receipt import Answer, AnswerEvent, Citation, Done, Reasoning, Receipt, Token
from api.rag.retrieve import Hit, pages
from api.rag.room import Asked, Limits, settled
from api.rag.sources import Sources
from api.runtime import (
    CallPiece,
    Message,
    ModelInfo,
    ModelRuntime,
    Options,
    TokenLogprob,
    ToolCall,
    grown,
)
from api.store.documents import Document

__all__ = ["Answers", "Question", "Searched", "Sources"]

RESERVED = ("citations", "receipts")
"""Names that stand beside those of documents where answers are listed by document."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a model; the last message asks. Over the documents (names or ids, `*` for all of the model's),
    or plain chat when none is named. With a `collection` (name or id) over its documents, all when none is named.
    `documents_of` is the model whose documents are meant where it is another one. `sources` stand in the place of all
    three. `expand`: it is searched with the model's rephrasings too. `may_end_early`: the answer may have less than
    `max_tokens` where the context leaves less. `variables` are for the model's `prompt_template`, which is left out
    where the words are ours (`as_it_stands`).
    """

    model: ModelInfo
    messages: Sequence[Message]
    documents: Sequence[str] = ()
    options: Options = field(default_factory=Options)
    collection: str = ""
    documents_of: str = ""
    expand: bool = True
    may_end_early: bool = False
    sources: Sources | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    as_it_stands: bool = False

    @property
    def wording(self) -> Wording:
        """What stands around the question; `errors.InvalidOption` for variables that do not fit."""
        if self.as_it_stands:
            return PLAIN
        persona = self.model.persona
        values = values_of(persona.prompt_template, persona.variables, self.variables)
        return Wording(persona.prompt_template, values)

    @property
    def names(self) -> Sequence[str]:
        """The documents to answer from, none for plain chat."""
        return self.documents or ([ALL] if self.collection or self.sources else ())


class Searched(NamedTuple):
    """The best passages, and what was searched for them."""

    hits: list[Hit]
    queries: tuple[str, ...]


class Answers:
    """Answers with a model. What can be refused is refused before the first event of an answer."""

    def __init__(
        self,
        runtime: ModelRuntime,
        models: ModelCatalog,
        bundled: BundledModels,
        grounded: Grounded,
        limits: Limits,
        embedding_model: str,
        default_model: str = "",
    ) -> None:
        self._runtime = runtime
        self._models = models
        self._bundled = bundled
        self._grounded = grounded
        self._limits = limits
        self._embedding_model = embedding_model
        self._default_model = default_model

    async def model(self, name: str, *, over_documents: bool) -> ModelInfo:
        """The model that a request means, found once; `errors.ModelNotFound`, or `errors.NotReady` for one that comes
        with the service and is still being made.
        """
        if over_documents:
            self._bundled.require(self._embedding_model)
        return await self._models.chat_model(name)

    def require_askable(self, model: ModelInfo) -> None:
        """`errors.InvalidOption` for a model whose prompt has a variable without a usual value."""
        _ = Question(model, ()).wording

    async def require_documents(
        self, model: str, documents: Sequence[str], collection: str = ""
    ) -> None:
        """`errors.CollectionNotFound` or `errors.DocumentNotFound` for what a question names and is not there."""
        scope = await self._grounded.scope(model, collection)
        await self._grounded.select(scope, documents or [ALL])

    async def stream(self, question: Question) -> AsyncGenerator[AnswerEvent, None]:
        """Tokens, then citations, the receipt, the end. Closing it cancels the generation."""
        messages = question.messages
        asked = await self._settled(question)
        if not question.names:
            events = chat(self._runtime, asked, asked_plainly(asked.wording, messages))
        else:
            whose = question.documents_of or asked.model.name
            sources = question.sources or await self._grounded.sources(
                whose, question.names, question.collection
            )
            queries = await self._grounded.queries(asked, messages, expand=question.expand)
            events = self._grounded.answer(asked, messages, sources, queries)
        async with aclosing(events):
            async for event in events:
                yield event

    async def whole(self, question: Question) -> Answer:
        """One answer; the same as its events, joined."""
        return await _whole(self.stream(question))

    async def each(self, question: Question) -> Mapping[str, Answer]:
        """One whole answer a document, by its name; the question is rephrased once for all. A document whose name is
        another one's too goes by `NAME (ID)`: the model's own comes first.
        """
        asked = await self._settled(question)
        scope = await self._grounded.scope(asked.model.name, question.collection)
        selected = await self._grounded.select(scope, question.names)
        if selected is None:
            selected = await self._grounded.all(scope)
        self._require_few(selected)
        queries = await self._grounded.queries(asked, question.messages, expand=question.expand)
        answers: dict[str, Answer] = {}
        for document in sorted(selected, key=lambda one: one.is_for_all):
            one = Sources(scope, [document])
            events = self._grounded.answer(asked, question.messages, one, queries)
            answers[_name(document, answers)] = await _whole(events)
        return answers

    async def count_tokens(self, question: Question) -> int:
        """Tokens of the conversation as the model reads it, persona and template included; those of tools by the length
        of what is told of them.
        """
        asked = await self._settled(question)
        messages = asked_plainly(asked.wording, question.messages)
        count = await self._runtime.count_tokens(asked.model, messages, asked.context)
        if not asked.options.tools:
            return count.number
        told = json.dumps(asked.options.tools, ensure_ascii=False)
        lengths = await self._runtime.tokenize_lengths(asked.model, [told], asked.context)
        return count.number + sum(lengths)

    def completed(
        self, model: ModelInfo, prompt: str, options: Options
    ) -> AsyncGenerator[Token | Done, None]:
        """What a model writes behind a text, and the end. Closing it cancels the generation."""
        return completed(self._runtime, settled(model, options, self._limits), prompt)

    async def whole_completion(self, model: ModelInfo, prompt: str, options: Options) -> Completion:
        """The same, joined."""
        return await whole_completion(self.completed(model, prompt, options))

    async def search(
        self,
        model: ModelInfo | None,
        query: str,
        documents: Sequence[str],
        limit: int,
        *,
        rephrase: bool,
        collection: str = "",
    ) -> list[Hit]:
        """The best passages without an answer; no documents named means all of the collection's, or of the model's.
        Each page is given once, by its best passage; pages that say the same are all given.

        A model is needed where no collection is named, and to rephrase.
        """
        names = documents or [ALL]
        sources = await self._grounded.sources(model.name if model else "", names, collection)
        if model is None:
            self.look_again(sources)
        searched = await self.passages(sources, [query], limit, model if rephrase else None)
        return searched.hits

    def look_again(self, sources: Sources) -> None:
        """Have the embedding models asked for anew, before a search for which no other model is asked."""
        self._grounded.look_again(sources.scope)

    async def passages(
        self, sources: Sources, queries: Sequence[str], limit: int, rephrase_by: ModelInfo | None
    ) -> Searched:
        """The same of these sources, for several queries, of which the first matters most, and a model's rephrasings of
        that one.
        """
        texts = tuple(queries)
        if rephrase_by:
            asked = settled(rephrase_by, Options(), self._limits)
            rephrased = await self._grounded.queries(asked, [Message("user", texts[0])])
            texts = (*rephrased.texts, *texts[1:])
        found = await self._grounded.hits(sources, texts)
        return Searched(pages(found.hits, limit), texts)

    async def check(self) -> tuple[str, ...]:
        """Hints for the operator."""
        return (*await self._grounded.check(), *await self.default_hints())

    async def default_hints(self) -> tuple[str, ...]:
        """What is wrong with the model that is asked where a request names none."""
        try:
            if self._default_model:
                await self._models.chat_model(self._default_model)
        except NotReady:
            return ()  # `/readyz` says how far it is
        except (ModelNotFound, InvalidOption) as error:
            return (f"LLM_FASTAPI_DEFAULT_MODEL: {error.detail}",)
        return ()

    async def _settled(self, question: Question) -> Asked:
        """Beside the event loop where there are schemas to be checked: those of many tools take a second."""
        options, over_documents, wording = question.options, bool(question.names), question.wording
        settle = partial(
            settled,
            question.model,
            options,
            self._limits,
            over_documents=over_documents,
            may_end_early=question.may_end_early,
        )
        has_schemas = options.tools or options.json_schema is not None
        asked = await run_sync(settle) if has_schemas else settle()
        return replace(asked, wording=wording)

    def _require_few(self, documents: Sequence[Document]) -> None:
        most = self._limits.max_answers
        if len(documents) > most:
            raise InvalidOption(
                f"per_document: an answer for each of {len(documents)} documents, and "
                f"LLM_FASTAPI_MAX_ANSWERS allows {most}. Name fewer documents.",
                where="per_document",
                limit=most,
            )


def _name(document: Document, taken: Mapping[str, Answer]) -> str:
    is_taken = document.name in {*taken, *RESERVED}
    return f"{document.name} ({document.id})" if is_taken else document.name


async def _whole(events: AsyncGenerator[AnswerEvent, None]) -> Answer:
    """The events of one answer, joined."""
    text: list[str] = []
    thought: list[str] = []
    logprobs: list[TokenLogprob] = []
    calls: dict[int, ToolCall] = {}
    cited: list[Citation] = []
    receipt: Receipt | None = None
    async with aclosing(events):
        async for event in events:
            match event:
                case Token():
                    text.append(event.text)
                    logprobs += event.logprobs
                case Reasoning():
                    thought.append(event.text)
                case CallPiece():
                    calls[event.index] = grown(calls.get(event.index), event)
                case Citation():
                    cited.append(event)
                case Receipt():
                    receipt = event
                case Done() if receipt:
                    return Answer(
                        "".join(text),
                        tuple(cited),
                        receipt,
                        event,
                        "".join(thought),
                        tuple(calls.values()),
                        tuple(logprobs),
                    )
    raise BackEndFailed("The answer ended without its receipt.")
