"""Answers from documents: searched, put into the prompt as far as there is room, and every citation checked."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial

import anyio.to_thread

from api.index import Index
from api.rag import citations, retrieve
from api.rag.chat import said
from api.rag.citations import Checked, Source
from api.rag.prompts import REFUSAL
from api.rag.queries import Queries, queries
from api.rag.receipt import (
    AnswerEvent,
    Receipt,
    Refused,
    Retrieved,
    Token,
    Unanswered,
    UsedPassage,
    done,
    left_out,
    plain_receipt,
)
from api.rag.relevance import (
    BEST,
    CALIBRATED,
    LANGUAGES,
    LOOKED_AT,
    Calibration,
    calibration_of,
    evidence,
    relevance,
)
from api.rag.rerank import Reranked, Reranker
from api.rag.retrieve import Hit
from api.rag.room import Asked, Fitted, Limits, fit, shares
from api.rag.sources import Sources
from api.rag.vocabulary import related
from api.runtime import Message, ModelRuntime, Options, Usage
from api.store import Store
from api.store.collections import Scope
from api.store.contents import Page
from api.store.documents import Document
from api.tracing import span

ALL = "*"
"""In place of documents' names: all that the model can be asked about."""
LEFT_OUT_SHOWN = 10
"""Passages below the last one used that a receipt names."""
GREEDY = Options(temperature=0)
"""How a model answers from documents unless the request or the persona says otherwise."""


class Grounded:
    """Searches documents and answers from what it finds."""

    def __init__(
        self,
        runtime: ModelRuntime,
        store: Store,
        index: Index,
        limits: Limits,
        reranker: Reranker,
        calibrated: Sequence[Calibration] = CALIBRATED,
    ) -> None:
        self._runtime = runtime
        self._store = store
        self._index = index
        self._limits = limits
        self._reranker = reranker
        self._calibrated = calibrated

    async def scope(self, model: str, collection: str = "") -> Scope:
        """Where to look: in that collection alone, or where the model looks; `errors.CollectionNotFound`."""

        def used() -> Scope:
            scope = self._store.collections.scope(model, collection)
            self._store.collection_cards.touch(scope.ids)
            return scope

        return await anyio.to_thread.run_sync(used)

    async def select(self, scope: Scope, names: Sequence[str]) -> list[Document] | None:
        """The named documents; None for all. `errors.DocumentNotFound` names the missing."""
        if ALL in names:
            return None
        return await anyio.to_thread.run_sync(self._store.documents.find, scope, names)

    async def sources(self, model: str, names: Sequence[str], collection: str = "") -> Sources:
        """The named documents where that model looks, or of that collection."""
        scope = await self.scope(model, collection)
        return Sources(scope, await self.select(scope, names))

    async def all(self, scope: Scope) -> list[Document]:
        """Every document there that can be searched."""
        return await anyio.to_thread.run_sync(self._store.documents.ready_in, scope)

    async def queries(
        self, asked: Asked, messages: Sequence[Message], *, expand: bool = True
    ) -> Queries:
        """What is searched for the question of a conversation, its last message."""
        *turns, last = messages
        return await queries(
            self._runtime,
            asked.model,
            last.content,
            turns,
            self._limits.expansions if expand else 0,
            asked.context,
        )

    def look_again(self, scope: Scope) -> None:
        """Have the embedding models asked for anew, for a search before which no other model was."""
        for collection in scope.collections:
            self._index.embedder_of(collection).look_again()

    async def hits(self, sources: Sources, queries: Sequence[str]) -> Reranked:
        """The passages that fit, best first."""
        weight = self._limits.dense_weight
        searched = (sources.scope, queries, sources.documents)
        where = ",".join(sources.scope.ids)
        with span("retrieval", where, {"gen_ai.data_source.id": where}) as part:
            if part.tells_content:
                part.tell({"gen_ai.retrieval.query.text": queries[0]})
            found = await retrieve.hits(self._index, self._store, *searched, weight)
            found = [hit for hit in found if hit.score >= sources.least]
            part.tell({"llm_fastapi.retrieval.passages": len(found)})
            return (
                await self._reranker.reranked(queries[0], found)
                if sources.rerank
                else Reranked(found)
            )

    async def check(self) -> tuple[str, ...]:
        """Hints for the operator."""
        return await self._reranker.check()

    async def answer(
        self,
        asked: Asked,
        messages: Sequence[Message],
        sources: Sources,
        queries: Queries,
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Tokens, then citations, the receipt, the end. Closing it cancels the generation."""
        most = sources.most or self._limits.passages
        every = await self.hits(sources, queries.texts)
        found = retrieve.different(every.hits, most + LEFT_OUT_SHOWN)
        judged = await self._judged(sources, every.hits[:LOOKED_AT])
        different = [hit for hit in found if not hit.is_duplicate][:most]
        retrieved: Retrieved | None = Retrieved(queries.texts, tuple(different))
        if judged.refused:
            yield Retrieved(queries.texts, tuple(different))
            for event in _unanswered(asked, queries, found, judged, every.by):
                yield event
            return
        fitted = await fit(self._runtime, asked, messages, different)
        greedy = replace(asked, options=asked.options.over(GREEDY))
        text = ""
        pieces = said(self._runtime, greedy, fitted.messages, fitted.tokens.number)
        async with aclosing(pieces):
            async for piece in pieces:
                if retrieved:
                    yield retrieved  # when a model has begun: until then it may refuse
                    retrieved = None
                if isinstance(piece, Usage):
                    usage = piece
                    continue
                if isinstance(piece, Token):
                    text += piece.text
                yield piece
        checked = await self._checked(text, messages[-1].content, fitted.used)
        for citation in checked.citations:
            yield citation
        yield replace(
            _receipt(asked, usage, fitted, found),
            queries=queries.texts,
            related_words=related(*queries.texts),
            dropped_queries=queries.dropped,
            unknown_markers=checked.unknown,
            unverified_markers=checked.unverified,
            unsupported=checked.unsupported,
            refused=_is_refusal(text),
            refused_because="by the model" if _is_refusal(text) else None,
            relevance=judged.relevance,
            reranked_by=every.by,
        )
        yield done(usage)

    async def _judged(self, sources: Sources, found: Sequence[Hit]) -> "Judged":
        """Whether what was found is worth asking a model, by the query that it fits best."""
        if not found:
            return Judged("nothing found", 0.0)
        searched = await self._index.likeness(sources.scope, sources.documents)
        calibration = calibration_of(searched[0], self._calibrated) if searched else None
        is_foreign = any(hit.language not in LANGUAGES for hit in found[:BEST])
        if searched is None or calibration is None or is_foreign:
            return Judged(None, None)
        queries = {one.query for hit in found for one in hit.found_by}  # as they were searched
        best = max(relevance(evidence(query, found, searched[1]), calibration) for query in queries)
        least = self._limits.min_relevance
        least = calibration.least if least is None else least
        return Judged("not relevant" if best < least else None, best)

    async def _checked(self, text: str, question: str, used: Sequence[Hit]) -> Checked:
        if _is_refusal(text):
            return Checked()
        wanted = [(hit.document_id, hit.page) for hit in used]
        pages = await anyio.to_thread.run_sync(self._store.contents.some_pages, wanted)
        sources = [
            Source(
                n,
                hit.document,
                hit.document_id,
                hit.heading,
                hit.text,
                pages.get((hit.document_id, hit.page), Page(hit.page, "")),
            )
            for n, hit in enumerate(used, start=1)
        ]
        check = partial(citations.check, text, question, sources)
        return await anyio.to_thread.run_sync(check)  # seconds for an answer full of marks


@dataclass(frozen=True, slots=True)
class Judged:
    """How relevant what was found is, as far as that is known, and why no model is asked about it."""

    refused: Refused | None
    relevance: float | None


def _unanswered(
    asked: Asked, queries: Queries, found: Sequence[Hit], judged: Judged, by: str | None
) -> Iterator[AnswerEvent]:
    """The answer where the documents hold none: the model is not asked."""
    usage = Usage("stop", 0, 0)
    yield Unanswered(REFUSAL)
    yield replace(
        plain_receipt(asked, usage),
        queries=queries.texts,
        related_words=related(*queries.texts),
        dropped_queries=queries.dropped,
        left_out=left_out(found, otherwise="not relevant"),
        refused=True,
        refused_because=judged.refused,
        relevance=judged.relevance,
        reranked_by=by,
    )
    yield done(usage)


def _receipt(asked: Asked, usage: Usage, fitted: Fitted, found: Sequence[Hit]) -> Receipt:
    """What was used, what was left out, and where the context went."""
    receipt = plain_receipt(asked, usage)
    tokens = shares(fitted, asked.model, usage.prompt_tokens)
    passages = tuple(
        UsedPassage(
            n,
            hit.document,
            hit.document_id,
            hit.page,
            hit.score,
            share,
            hit.found_by,
            hit.label,
        )
        for n, (hit, share) in enumerate(zip(fitted.used, tokens, strict=True), start=1)
    )
    return replace(
        receipt,
        passages=passages,
        left_out=left_out(found, fitted.used, fitted.no_room),
        turns_left_out=fitted.turns_left_out,
        tokens=replace(receipt.tokens, exact=fitted.tokens.exact and usage.exact),
    )


def _is_refusal(text: str) -> bool:
    def plain(words: str) -> str:
        return " ".join(citations.without_markers(words).casefold().split()).strip(" .")

    return plain(text) == plain(REFUSAL)
