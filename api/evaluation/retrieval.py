"""Measurements of retrieval: questions whose pages are known are searched, and what they found is kept.

They are kept by collection and settings, so that a change of the embedding model or of the chunks shows what it does
before anybody relies on it.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from api.data_folder.shelf import Shelf
from api.datasets.receiving import Upload
from api.errors import AmbiguousName, DatasetUnusable, DocumentNotFound
from api.evaluation.retrieval_figures import (
    DEPTH,
    Comparison,
    FoundPage,
    Outcome,
    as_rows,
    compared,
    metrics,
    seconds,
)
from api.evaluation.retrieval_questions import FIELD, Asked, as_row, read_questions
from api.names import collection_key
from api.rag import Answers
from api.runtime import ModelInfo
from api.store import Store
from api.store.collections import Scope

MOST_QUESTIONS = 2000
QUOTE_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Where:
    """What is searched: a collection (name or id), or where the model looks."""

    model: ModelInfo | None
    collection: str


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement: its card, and what each question found."""

    id: str
    card: Mapping[str, Any]
    outcomes: Sequence[Outcome]


class Measurements:
    """Every method that takes an id raises `errors.NotFound`."""

    def __init__(
        self,
        shelf: Shelf,
        store: Store,
        answers: Answers,
        uploads_dir: Path,
        settings: Mapping[str, Any],
    ) -> None:
        """`settings` are those that a search depends on; they are written beside what was found."""
        self._shelf = shelf
        self._store = store
        self._answers = answers
        self._uploads_dir = uploads_dir
        self._settings = settings
        self._one_at_a_time = anyio.Lock()

    async def measure(self, where: Where, upload: Upload) -> Measured:
        """Search each question and keep what was found. `errors.DatasetUnusable` names what is wrong with the file,
        and refuses one that is about none of the documents.
        """
        to_thread = anyio.to_thread.run_sync
        asked = await to_thread(read_questions, upload, self._uploads_dir, MOST_QUESTIONS)
        scope = await to_thread(
            self._store.collections.scope, where.model.name if where.model else "", where.collection
        )
        documents = await to_thread(self._documents, scope, asked)
        async with self._one_at_a_time:
            outcomes = [await self._outcome(where, one, documents) for one in asked]
        return await to_thread(self._keep, where, scope, asked, documents, outcomes)

    async def page(
        self, after: str | None, limit: int, collection: str
    ) -> tuple[dict[str, dict[str, Any]], bool]:
        """The cards of at most `limit`, newest first, behind the one of the id `after`, of one collection (its name or
        id; empty: of all); and whether there are more.
        """

        page = partial(self._shelf.page, after, limit)
        if collection:
            page = partial(page, lambda card: _is_of(card, collection))
        return await anyio.to_thread.run_sync(page)

    async def show(self, id: str) -> Measured:
        """One of them."""
        return await anyio.to_thread.run_sync(self._read, id)

    async def compare(self, id: str, against: str) -> Comparison:
        """One beside an earlier one, over the questions that both asked."""

        def read() -> Comparison:
            return compared(against, self._read(against).outcomes, self._read(id).outcomes)

        return await anyio.to_thread.run_sync(read)

    async def delete(self, id: str) -> None:
        """Forget one."""
        await anyio.to_thread.run_sync(self._shelf.remove, id)

    def _documents(self, scope: Scope, asked: Sequence[Asked]) -> dict[str, str]:
        """The ids of the documents that the questions name, as far as they are there."""
        names = dict.fromkeys(place.document for one in asked for place in one.expected)
        found: dict[str, str] = {}
        for name in names:
            try:
                (document,) = self._store.documents.find(scope, [name])
            except (DocumentNotFound, AmbiguousName):
                continue
            found[name] = document.id
        if not found:
            some = ", ".join(list(names)[:3])
            raise DatasetUnusable(
                f"None of the documents that the questions name ({some}) is in {scope.title}. Name them as "
                "`GET /list_documents` does, or another `collection`.",
                where=FIELD,
            )
        return found

    async def _outcome(self, where: Where, asked: Asked, documents: Mapping[str, str]) -> Outcome:
        started = time.monotonic()
        hits = await self._answers.search(
            where.model, asked.question, (), DEPTH, rephrase=False, collection=where.collection
        )
        taken = time.monotonic() - started
        expected = {(documents.get(one.document), one.page) for one in asked.expected}
        return Outcome(
            question=asked.question,
            expected=tuple(as_row(asked)["expected"]),
            ranks=tuple(
                rank
                for rank, hit in enumerate(hits, start=1)
                if (hit.document_id, hit.page) in expected
            ),
            found=tuple(
                FoundPage(hit.document, hit.page, hit.score, hit.text[:QUOTE_CHARACTERS])
                for hit in hits
            ),
            seconds=round(taken, 4),
            proposed_by=asked.proposed_by,
        )

    def _keep(
        self,
        where: Where,
        scope: Scope,
        asked: Sequence[Asked],
        documents: Mapping[str, str],
        outcomes: Sequence[Outcome],
    ) -> Measured:
        ready = self._store.documents.ready_in(scope)
        card = {
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "model": where.model.name if where.model else "",
            "collections": [{"id": one.id, "name": one.name} for one in scope.collections],
            "documents": len(ready),
            "settings": {
                **self._settings,
                "embedders": sorted({one.embedder for one in ready}),
            },
            "questions": len(asked),
            "questions_sha256": _digest(asked),
            "proposed": sum(bool(one.proposed_by) for one in asked),
            "misses": sum(one.is_miss for one in outcomes),
            "unknown_documents": _unknown(asked, documents),
            "metrics": {name: asdict(one) for name, one in metrics(outcomes).items()},
            "seconds": seconds(outcomes),
        }
        id = self._shelf.new_id()
        with self._shelf.growing(id) as folder:
            lines = (json.dumps(one, ensure_ascii=False) + "\n" for one in as_rows(outcomes))
            (folder / "outcomes.jsonl").write_text("".join(lines), encoding="utf-8")
            self._shelf.place(folder, id, card)
        return Measured(id, card, outcomes)

    def _read(self, id: str) -> Measured:
        card = self._shelf.card(id)
        text = (self._shelf.find(id) / "outcomes.jsonl").read_text(encoding="utf-8")
        outcomes = [Outcome.of(json.loads(line)) for line in text.split("\n") if line]
        return Measured(id, card, outcomes)


def _unknown(asked: Sequence[Asked], documents: Mapping[str, str]) -> list[str]:
    places = (place for one in asked for place in one.expected)
    return list(dict.fromkeys(one.document for one in places if one.document not in documents))


def _is_of(card: Mapping[str, Any], collection: str) -> bool:
    key = collection_key(collection)
    return any(
        one["id"] == collection or collection_key(one["name"]) == key for one in card["collections"]
    )


def _digest(asked: Sequence[Asked]) -> str:
    """Of what is asked, whatever its order."""
    rows = sorted(json.dumps(as_row(one), sort_keys=True) for one in asked)
    return sha256("\n".join(rows).encode()).hexdigest()
