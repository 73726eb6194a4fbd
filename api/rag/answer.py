"""Answers to a conversation: from documents, with checked citations and a receipt, or plain chat."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

import anyio.to_thread

from api.errors import BackEndFailed
from api.index import Index
from api.rag import citations, retrieve
from api.rag import queries as expand
from api.rag import room as budget
from api.rag.citations import Checked, Source
from api.rag.prompts import REFUSAL
from api.rag.receipt import (
    Answer,
    AnswerEvent,
    Citation,
    Done,
    Receipt,
    Room,
    Token,
    UsedPassage,
    done,
    left_out,
    plain_receipt,
)
from api.rag.retrieve import Hit
from api.runtime import Message, ModelRuntime, Options, Usage
from api.store import Store
from api.store.documents import Document

ALL = "*"
"""In place of documents' names: all that the model can be asked about."""
LEFT_OUT_SHOWN = 10
"""Passages below the last one used that a receipt names."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is searched and used; a request may ask for longer answers and another context."""

    expansions: int
    passages: int
    dense_weight: float
    max_answer_tokens: int
    context_length: int


class Answering:
    """Answers with a model, over documents or without."""

    def __init__(self, runtime: ModelRuntime, store: Store, index: Index, limits: Limits) -> None:
        self._runtime = runtime
        self._store = store
        self._index = index
        self._limits = limits

    async def answer(
        self, model: str, messages: Sequence[Message], documents: Sequence[str], options: Options
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Tokens, then citations, the receipt, the end. The last message asks.

        Over the documents (names or ids, `*` for all of the model's), or plain chat when none is named.
        Everything that can be refused is refused before the first event. Closing it cancels the generation.
        """
        if not documents:
            events = self._chat(model, messages, options)
        else:
            selected = await self._select(model, documents)
            queries = await self._queries(model, messages, options)
            events = self._from_documents(model, messages, selected, queries, options)
        async with aclosing(events):
            async for event in events:
                yield event

    async def answer_each(
        self, model: str, messages: Sequence[Message], documents: Sequence[str], options: Options
    ) -> list[tuple[Document, Answer]]:
        """One whole answer a document; the question is rephrased once for all."""
        selected = await self._select(model, documents)
        if selected is None:
            selected = await anyio.to_thread.run_sync(self._store.documents.of_model, model)
        queries = await self._queries(model, messages, options)
        return [
            (
                document,
                await whole(self._from_documents(model, messages, [document], queries, options)),
            )
            for document in selected
        ]

    async def search(
        self, model: str, query: str, documents: Sequence[str], limit: int, *, rephrase: bool
    ) -> list[Hit]:
        """The best passages without an answer; no documents named means all of the model's."""
        selected = await self._select(model, documents or [ALL])
        queries = [query]
        if rephrase:
            queries = await self._queries(model, [Message("user", query)], Options())
        return [
            hit for hit in await self._hits(model, queries, selected, limit) if not hit.is_duplicate
        ]

    async def _select(self, model: str, names: Sequence[str]) -> list[Document] | None:
        """The named documents; None for all. `errors.DocumentNotFound` names the missing."""
        if ALL in names:
            return None
        return await anyio.to_thread.run_sync(self._store.documents.find, model, names)

    async def _queries(
        self, model: str, messages: Sequence[Message], options: Options
    ) -> list[str]:
        turns, question = messages[:-1], messages[-1].content
        count = self._limits.expansions
        return await expand.queries(self._runtime, model, question, turns, count, options.num_ctx)

    async def _hits(
        self, model: str, queries: list[str], documents: list[Document] | None, limit: int
    ) -> list[Hit]:
        weight = self._limits.dense_weight
        return await retrieve.hits(
            self._index, self._store, model, queries, documents, limit, weight
        )

    async def _room(self, model: str, options: Options) -> Room:
        info = await self._runtime.show(model)
        chosen = options.over(info.persona.parameters)
        context = min(chosen.num_ctx or self._limits.context_length, info.context_length)
        usual = min(self._limits.max_answer_tokens, context // 4)
        return Room(context, chosen.max_tokens or usual)

    async def _chat(
        self, model: str, messages: Sequence[Message], options: Options
    ) -> AsyncGenerator[AnswerEvent, None]:
        room = await self._room(model, options)
        usage: Usage | None = None
        most = replace(options, max_tokens=options.max_tokens or self._limits.max_answer_tokens)
        least = options.max_tokens or 1
        async with aclosing(
            self._runtime.chat(model, messages, most, least_tokens=least)
        ) as pieces:
            async for piece in pieces:
                usage = piece.usage or usage
                if piece.text:
                    yield Token(piece.text)
        usage = _required(usage)
        yield plain_receipt(model, room, usage)
        yield done(usage)

    async def _from_documents(
        self,
        model: str,
        messages: Sequence[Message],
        documents: list[Document] | None,
        queries: list[str],
        options: Options,
    ) -> AsyncGenerator[AnswerEvent, None]:
        room = await self._room(model, options)
        found = await self._hits(model, queries, documents, self._limits.passages + LEFT_OUT_SHOWN)
        if not found:
            nothing = Usage("stop", 0, 0)
            yield Token(REFUSAL)
            yield replace(plain_receipt(model, room, nothing), queries=tuple(queries), refused=True)
            yield done(nothing)
            return
        different = [hit for hit in found if not hit.is_duplicate][: self._limits.passages]
        fitted = await budget.fit(
            self._runtime, model, messages, different, room.context - room.answer
        )
        used = [hit for hit, _ in fitted.used]
        chosen = await self._grounded(model, options, room)
        text = ""
        usage: Usage | None = None
        async with aclosing(self._runtime.chat(model, fitted.messages, chosen)) as pieces:
            async for piece in pieces:
                usage = piece.usage or usage
                text += piece.text
                if piece.text:
                    yield Token(piece.text)
        usage = _required(usage)
        refused = _is_refusal(text)
        checked = Checked() if refused else await self._checked(text, messages[-1].content, used)
        for citation in checked.citations:
            yield citation
        receipt = plain_receipt(model, room, usage)
        yield replace(
            receipt,
            queries=tuple(queries),
            passages=tuple(
                UsedPassage(
                    n, hit.document, hit.document_id, hit.page, hit.score, tokens, hit.found_by
                )
                for n, (hit, tokens) in enumerate(fitted.used, start=1)
            ),
            left_out=left_out(found, used, fitted.no_room),
            turns_left_out=fitted.turns_left_out,
            tokens=replace(receipt.tokens, exact=fitted.exact),
            unknown_markers=checked.unknown,
            unverified_markers=checked.unverified,
            refused=refused,
        )
        yield done(usage)

    async def _grounded(self, model: str, options: Options, room: Room) -> Options:
        """Greedy unless the request or the persona says otherwise, and no longer than was reserved."""
        info = await self._runtime.show(model)
        usual = info.persona.parameters.over(Options(temperature=0))
        return replace(options, temperature=options.over(usual).temperature, max_tokens=room.answer)

    async def _checked(self, text: str, question: str, used: Sequence[Hit]) -> Checked:
        pages = [(hit.document_id, hit.page) for hit in used]
        texts = await anyio.to_thread.run_sync(self._store.documents.page_texts, pages)
        sources = [
            Source(
                n,
                hit.document,
                hit.document_id,
                hit.page,
                hit.text,
                texts.get((hit.document_id, hit.page), ""),
            )
            for n, hit in enumerate(used, start=1)
        ]
        return citations.check(text, question, sources)


async def whole(events: AsyncGenerator[AnswerEvent, None]) -> Answer:
    """The events of one answer, joined."""
    text: list[str] = []
    cited: list[Citation] = []
    receipt: Receipt | None = None
    async with aclosing(events):
        async for event in events:
            match event:
                case Token():
                    text.append(event.text)
                case Citation():
                    cited.append(event)
                case Receipt():
                    receipt = event
                case Done() if receipt:
                    return Answer("".join(text), tuple(cited), receipt, event)
    raise BackEndFailed("The answer ended without its receipt.")


def _required(usage: Usage | None) -> Usage:
    if usage is None:
        raise BackEndFailed("The model stopped without saying how its answer ended. Ask again.")
    return usage


def _is_refusal(text: str) -> bool:
    def plain(words: str) -> str:
        return " ".join(citations.without_markers(words).casefold().split()).strip(" .")

    return plain(text) == plain(REFUSAL)
