"""What is asked about documents: by name or id within a scope, by state, by content."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select

from api.errors import AmbiguousName, DocumentNotFound
from api.names import (
    ENDINGS,
    MAX_NAME_CHARACTERS,
    bare_name,
    document_ending,
    document_key,
    is_document_id,
)
from api.store.collections import Collection, Scope
from api.store.database import Database, among, batches
from api.store.document_rows import (
    Document,
    DocumentStatus,
    document_of,
    in_collection,
    in_scope,
    one_document,
    ready_in_scope,
    select_documents,
    still_importing,
)
from api.store.tables import IS_KEPT, IS_LIVE, STANDS_ALONE, documents, within

NAMES_SHOWN = 100
"""Documents that an error names."""
NUMBER_CHARACTERS = 10
"""Room for the number behind a name that another document has."""


class DocumentLookup:
    """Reads alone; nothing that is found is changed. Of the documents of a workspace; without one, of each."""

    def __init__(self, database: Database, workspace: str | None = None) -> None:
        self._database = database
        self._workspace = workspace

    def get(self, document_id: str) -> Document:
        """By id; `errors.DocumentNotFound`. One that is being deleted is not there."""
        with self._database.read() as connection:
            return one_document(connection, document_id, self._workspace)

    def all(self, *statuses: DocumentStatus) -> list[Document]:
        """Every document in one of these states, oldest first; without any: all."""
        query = select_documents().where(within(documents, self._workspace))
        query = query.order_by(documents.c.created_at, documents.c.id)
        if statuses:
            query = query.where(documents.c.status.in_(statuses))
        return self._found(query)

    def counts(self) -> dict[str, int]:
        """How many documents are in which state."""
        query = select(documents.c.status, func.count()).group_by(documents.c.status)
        with self._database.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def ids(self) -> set[str]:
        """Every document that has not failed, one being deleted included."""
        query = select(documents.c.id).where(documents.c.status != "failed")
        with self._database.read() as connection:
            return {row.id for row in connection.execute(query)}

    def ready_in(
        self, scope: Scope, *, limit: int | None = None, after: str | None = None
    ) -> list[Document]:
        """The documents there that can be searched, by name; at most `limit`.

        With `after`, those behind the one of that id (`errors.DocumentNotFound`), or behind every one of that name,
        whether there is one or not.
        """
        query = ready_in_scope(scope).order_by(documents.c.name, documents.c.id).limit(limit)
        if after is not None:
            query = query.where(self._is_behind(scope, after))
        return self._found(query)

    def ready_among(self, scope: Scope, ids: Iterable[str]) -> list[Document]:
        """Those of the ids that can be searched there; nobody minds what is not."""
        return self._found(ready_in_scope(scope).where(among(documents.c.id, ids)))

    def free_name(self, collection_id: str, name: str) -> str:
        """That name where no document there has it, else the first `NAME (2)`, `NAME (3)` ... that none has."""
        ending = document_ending(name)
        stem = bare_name(name)[: MAX_NAME_CHARACTERS - len(ending) - NUMBER_CHARACTERS]
        begins = documents.c.name_key.startswith(document_key(stem), autoescape=True)
        query = select(documents.c.name_key).where(
            documents.c.collection_id == collection_id, documents.c.status != "deleting", begins
        )
        with self._database.read() as connection:
            taken = set(connection.execute(query).scalars())
        names = (f"{stem} ({number}){ending}" for number in itertools.count(2))
        return next(one for one in itertools.chain([name], names) if document_key(one) not in taken)

    def find(self, scope: Scope, names_or_ids: Sequence[str]) -> list[Document]:
        """Ready documents there by name or id.

        A name without its ending means the PDF of that name, else the only document of it (`errors.AmbiguousName`).
        `errors.DocumentNotFound` names the missing and those there are, `errors.NotReady` one that is being imported.
        """
        found = self._named(ready_in_scope(scope), scope, names_or_ids)
        if missing := [name for name, document in found.items() if document is None]:
            coming = self._named(in_scope(scope).where(IS_LIVE), scope, missing)
            if nowhere := [name for name, document in coming.items() if document is None]:
                raise self._missing(scope, nowhere, ready_in_scope(scope))
            raise still_importing(next(one for one in coming.values() if one))
        return list({document.id: document for document in found.values() if document}.values())

    def find_any(self, scope: Scope, name_or_id: str) -> Document:
        """One that can be deleted, by name or id, whatever came of it; `errors.DocumentNotFound`.

        A live one goes before a failed one.
        """
        query = in_scope(scope).where(documents.c.status != "deleting")
        if document := self._named(query, scope, [name_or_id])[name_or_id]:
            return document
        raise self._missing(scope, [name_or_id], query)

    def of(self, collection: Collection) -> list[Document]:
        """All in one collection that can be deleted, oldest first; what waits to take their place goes with them."""
        query = in_collection(collection.id).where(STANDS_ALONE)
        return self._found(query.order_by(documents.c.created_at, documents.c.id))

    def of_content(self, content_id: str) -> list[Document]:
        """The documents that keep a content, oldest first."""
        query = select_documents().where(documents.c.content_id == content_id, IS_KEPT)
        return self._found(query.order_by(documents.c.created_at, documents.c.id))

    def versions_in(self, collection_id: str) -> set[str]:
        """The versions of embedders under which documents of a collection stand."""
        mine = documents.c.collection_id == collection_id
        query = select(documents.c.embedder).where(mine, IS_KEPT, documents.c.embedder != "")
        with self._database.read() as connection:
            return set(connection.execute(query.distinct()).scalars())

    def shares_content(self, document: Document, within: str) -> bool:
        """Whether another document of that collection keeps the same content."""
        query = select(documents.c.id).where(
            documents.c.collection_id == within,
            documents.c.content_id == document.content_id,
            documents.c.id != document.id,
            IS_KEPT,
        )
        with self._database.read() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def filled(self, collection_ids: Sequence[str]) -> set[str]:
        """Those of the collections in which something is ready."""
        with self._database.read() as connection:
            return {
                one
                for one in collection_ids
                if connection.execute(
                    select(documents.c.id)
                    .where(documents.c.collection_id == one, documents.c.status == "ready")
                    .limit(1)
                ).first()
            }

    def versions_ready(
        self, collection_ids: Sequence[str], within: Sequence[str] | None = None
    ) -> dict[str, set[str]]:
        """For each of the collections in which something is ready (of these ids only): the versions of the embedders
        whose vectors that has.
        """
        columns = documents.c.collection_id, documents.c.embedder
        query = select(*columns).where(
            documents.c.status == "ready", among(documents.c.collection_id, collection_ids)
        )
        if within is not None:
            query = query.where(among(documents.c.id, within))
        versions: dict[str, set[str]] = {}
        with self._database.read() as connection:
            for collection, embedder in connection.execute(query.group_by(*columns)).all():
                versions.setdefault(collection, set()).add(embedder)
        return versions

    def embedders(self) -> set[str]:
        """The versions of every embedder under which something stands."""
        query = select(documents.c.embedder).where(IS_KEPT, documents.c.embedder != "").distinct()
        with self._database.read() as connection:
            return {row.embedder for row in connection.execute(query)}

    def embedded_otherwise(
        self, embedder: str, collection_ids: Sequence[str], within: Sequence[str] | None = None
    ) -> list[Document]:
        """Some ready documents of the collections (of these ids only) whose vectors are another version's."""
        query = select_documents().where(
            documents.c.status == "ready",
            documents.c.collection_id.in_(collection_ids),
            documents.c.embedder != embedder,
        )
        if within is not None:
            query = query.where(documents.c.id.in_(within))
        return self._found(query.order_by(documents.c.name).limit(NAMES_SHOWN))

    def _is_behind(self, scope: Scope, after: str) -> ColumnElement[bool]:
        if not is_document_id(after):
            return and_(documents.c.name > after, documents.c.name_key != document_key(after))
        found = self._found(ready_in_scope(scope).where(documents.c.id == after))
        if not found:
            raise DocumentNotFound(
                f"No document {after!r} for {scope.title} any more. Go on after the name that it had."
            )
        is_beside = and_(documents.c.name == found[0].name, documents.c.id > after)
        return or_(documents.c.name > found[0].name, is_beside)

    def _found(self, query: Select[Any]) -> list[Document]:
        with self._database.read() as connection:
            return [document_of(row) for row in connection.execute(query).mappings()]

    def _named(
        self, query: Select[Any], scope: Scope, names_or_ids: Sequence[str]
    ) -> dict[str, Document | None]:
        """Which document each name or id means: where several have it that of the first collection, a live one."""
        found: list[Document] = []
        for some in batches(list(names_or_ids), 250):
            keys = [document_key(name) for name in some]
            named = or_(documents.c.id.in_(some), documents.c.name_key.in_(keys))
            found += self._found(query.where(named))
        by_id = {one.id: one for one in found}
        by_key = _by_key(found, scope)
        meant = {name: by_id.get(name) or by_key.get(document_key(name)) for name in names_or_ids}
        bare = [name for name, one in meant.items() if one is None and not document_ending(name)]
        return meant | self._of_any_ending(query, scope, bare)

    def _of_any_ending(
        self, query: Select[Any], scope: Scope, names: Sequence[str]
    ) -> dict[str, Document | None]:
        """The only document of each of the names that is no PDF; `errors.AmbiguousName` where there are several."""
        meant: dict[str, Document | None] = {}
        for some in batches(list(names), 25):
            keys = {name: [f"{document_key(name)}{ending}" for ending in ENDINGS] for name in some}
            named = documents.c.name_key.in_([key for fitting in keys.values() for key in fitting])
            by_key = _by_key(self._found(query.where(named)), scope)
            for name, fitting in keys.items():
                found = [by_key[key] for key in fitting if key in by_key]
                if len(found) > 1:
                    raise AmbiguousName(name, [one.name for one in found])
                meant[name] = found[0] if found else None
        return meant

    def _missing(
        self, scope: Scope, missing: Sequence[str], query: Select[Any]
    ) -> DocumentNotFound:
        known = self._found(query.order_by(documents.c.name).limit(NAMES_SHOWN))
        names = [document.name for document in known]
        return DocumentNotFound(
            f"No document {', '.join(map(repr, missing))} for {scope.title}. "
            f"Documents: {', '.join(names) or 'none'}.",
            missing=list(missing),
            documents=names,
        )


def _by_key(found: list[Document], scope: Scope) -> dict[str, Document]:
    """By what names are compared by; of several the one of the first collection, a live one."""
    order = {one: at for at, one in enumerate(scope.ids)}
    found.sort(key=lambda one: (order[one.collection_id], _worth(one)), reverse=True)
    return {document_key(one.name): one for one in found}


def _worth(document: Document) -> int:
    """Which of several of one name is meant: the least, a live one before a failed one and what waits for its place."""
    return 2 * bool(document.replaces) + (document.status == "failed")
