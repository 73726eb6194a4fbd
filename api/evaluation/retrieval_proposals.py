"""Questions that a model makes up from passages of the documents, for who has none yet; marked as such."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import anyio.to_thread

from api.errors import DocumentNotFound
from api.rag import Answers, Question
from api.rag.queries import unlabelled
from api.runtime import Message, ModelInfo, Options
from api.store import Store
from api.store.chunks import Chunk
from api.store.documents import Document

MOST = 100
SHOWN = 120
"""Characters of an answer without a question that are told."""
SHORTEST_PASSAGE = 120
"""Characters; less is a heading or a page's number."""
SHORTEST, LONGEST = 8, 300
"""Characters of a question."""
TRIES = 2
"""Passages that are asked about for each question wanted, at most."""
MAX_TOKENS = 80

_PROMPT = """Here is a passage of the document "{document}":

---
{text}
---

Write one question that somebody who does not know this passage would ask, and that the passage answers. Name what it \
is about, so that the question can be understood alone. Do not speak of a passage, a text or a document. Use the \
language of the passage. Answer with the question alone."""
_ASKS = ("?", "\uff1f", "\u061f", ";")
"""Marks that end a question; the Greek one looks like a semicolon."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A question as a measurement takes it, with the passage that it was made from."""

    question: str
    document: str
    page: int
    proposed_by: str
    passage: str


@dataclass(frozen=True, slots=True)
class Proposed:
    """What was made up, and why that is fewer than wanted; empty when it is not."""

    questions: list[Proposal]
    why_fewer: str


class Proposals:
    """Asks a model for questions."""

    def __init__(self, store: Store, answers: Answers) -> None:
        self._store = store
        self._answers = answers

    async def make(self, model: ModelInfo, collection: str, count: int, seed: int) -> Proposed:
        """At most `count`, about passages from all over the documents: fewer where the model's answers are no
        questions, or there is too little to ask about. The same `seed` chooses the same passages.
        `errors.DocumentNotFound` when there are no documents.
        """
        chosen = await anyio.to_thread.run_sync(
            self._passages, model.name, collection, TRIES * count, seed
        )
        found: dict[str, Proposal] = {}
        without: list[str] = []
        for document, chunk in chosen:
            if len(found) == count:
                return Proposed(list(found.values()), "")
            answer = await self._answer(model, document, chunk)
            if question := question_in(answer):
                made = Proposal(question, document.name, chunk.page, model.name, chunk.text)
                found.setdefault(question, made)
            else:
                without.append(answer)
        why = "" if len(found) == count else _why_fewer(len(chosen), len(found), without)
        return Proposed(list(found.values()), why)

    def _passages(
        self, model: str, collection: str, count: int, seed: int
    ) -> list[tuple[Document, Chunk]]:
        scope = self._store.collections.scope(model, collection)
        chance = random.Random(seed)  # noqa: S311  # a choice, no secret
        documents = self._store.documents.ready_in(scope)
        if not documents:
            raise DocumentNotFound(f"There is no document in {scope.title}.")
        chance.shuffle(documents)
        some = documents[:count]
        return list(_in_turns([self._some_of(one, count, chance) for one in some]))[:count]

    def _some_of(
        self, document: Document, count: int, chance: random.Random
    ) -> list[tuple[Document, Chunk]]:
        chunks = [
            one
            for one in self._store.chunks.of(document.content_id)
            if len(one.text) >= SHORTEST_PASSAGE
        ]
        return [(document, one) for one in chance.sample(chunks, min(count, len(chunks)))]

    async def _answer(self, model: ModelInfo, document: Document, chunk: Chunk) -> str:
        prompt = _PROMPT.format(document=document.title or document.name, text=chunk.text)
        options = Options(temperature=0.0, seed=0, max_tokens=MAX_TOKENS)
        asked = Question(model, [Message("user", prompt)], options=options, as_it_stands=True)
        return (await self._answers.whole(asked)).message


def _in_turns(
    each: Sequence[Sequence[tuple[Document, Chunk]]],
) -> Iterator[tuple[Document, Chunk]]:
    """The first of each, then the second of each."""
    for at in range(max(map(len, each), default=0)):
        yield from (some[at] for some in each if at < len(some))


def _why_fewer(asked: int, found: int, without: Sequence[str]) -> str:
    """What came of the passages that were asked about, where answers `without` a question are some of it."""
    if not asked:
        return (
            f"No passage has {SHORTEST_PASSAGE} characters or more: there is nothing to ask about."
        )
    told = [f"Passages of {SHORTEST_PASSAGE} characters or more that were asked about: {asked}."]
    if without:
        example = " ".join(without[0].split())[:SHOWN]
        told.append(
            f"Answers without a question of {SHORTEST} to {LONGEST} characters: {len(without)}, such as {example!r}; "
            "a larger model may write them (modelName)."
        )
    if repeated := asked - found - len(without):
        told.append(f"Questions that repeat another one: {repeated}.")
    return " ".join(told)


def question_in(answer: str) -> str:
    """The first question of an answer, empty when there is none."""
    for line in answer.splitlines():
        said = unlabelled(line)
        if said.endswith(_ASKS) and SHORTEST <= len(said) <= LONGEST:
            return said
    return ""
