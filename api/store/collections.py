"""Collections: sets of documents with one embedder, which they keep: a model, and what stands around its texts.

The documents of a model stand in the collection of its name, those for all models in `names.FOR_ALL`; both are made
on first use. `deleting` is one whose last documents are going: it is not found any more.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
    tuple_,
    update,
)

from api.errors import CollectionNotFound, NameTaken
from api.names import FOR_ALL, WORKSPACE, collection_key
from api.store.database import Database, among, batches
from api.store.tables import IS_FOUND, collections, documents, within

NAMES_SHOWN = 20
"""Collections that an error names."""


@dataclass(frozen=True, slots=True)
class Collection:
    """One collection. Its `embedder` is empty until its first document comes, its templates are None until that is
    embedded: then both are what the settings say at that time.
    """

    id: str
    name: str
    embedder: str
    created_at: str
    query_template: str | None = None
    passage_template: str | None = None
    workspace: str = WORKSPACE


@dataclass(frozen=True, slots=True)
class Scope:
    """Where to look for documents: those of the first collection go before others of the same name.

    `title` says in messages whose they are.
    """

    title: str
    collections: tuple[Collection, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the collections, in their order."""
        return tuple(one.id for one in self.collections)


COLUMNS = [collections.c[field.name] for field in fields(Collection)]


class Collections:
    """Queries over the collections of a workspace; each method is one transaction.

    Without a workspace an id means a collection of any, a name one of the first.
    """

    def __init__(self, database: Database, workspace: str | None = None) -> None:
        self._database = database
        self._asked_for = workspace
        self._workspace = workspace or WORKSPACE
        self._mine = within(collections, workspace)

    def of(self, workspace: str) -> "Collections":
        """Those of a workspace."""
        return Collections(self._database, workspace)

    def create(self, name: str, embedder: str = "") -> Collection:
        """A new one; `errors.NameTaken`."""
        with self._database.write() as connection:
            if found := named_collection(connection, self._workspace, name):
                raise NameTaken(f"A collection named {found.name!r} exists ({found.id}).")
            return self._insert(connection, name, embedder)

    def pin(self, id: str, query_template: str, passage_template: str) -> Collection:
        """Keep what stands around its texts, unless that is kept already."""
        values = {"query_template": query_template, "passage_template": passage_template}
        mine = collections.c.id == id
        with self._database.write() as connection:
            open = collections.c.passage_template.is_(None)
            connection.execute(update(collections).where(mine, open).values(**values))
            return collection_of(connection.execute(select(*COLUMNS).where(mine)).one())

    def pinned(self) -> set[str]:
        """The names of all embedding models that collections have."""
        query = select(collections.c.embedder).where(collections.c.embedder != "").distinct()
        with self._database.read() as connection:
            return set(connection.execute(query).scalars())

    def of_model(self, model: str) -> Collection:
        """A model's default collection, made on first use; that for all models when the name is empty."""
        return self.named(model or FOR_ALL)

    def named(self, name: str, embedder: str = "") -> Collection:
        """The one of that name, whatever embeds it; made, with that embedding model, when there is none."""
        with self._database.write() as connection:
            found = named_collection(connection, self._workspace, name)
            return found or self._insert(connection, name, embedder)

    def scope_of(self, model: str) -> Scope:
        """Where a model looks: in its own collection and in that for all, as far as they are there."""
        with self._database.read() as connection:
            names = (model, FOR_ALL) if model not in ("", FOR_ALL) else (FOR_ALL,)
            found = [named_collection(connection, self._workspace, name) for name in names]
        return Scope(f"model {model!r}", tuple(one for one in found if one))

    def scope(self, model: str, collection: str = "") -> Scope:
        """That collection alone (by id or name), or where the model looks; `errors.CollectionNotFound`."""
        if not collection:
            return self.scope_of(model)
        found = self.find(collection)
        return Scope(f"collection {found.name!r}", (found,))

    def find(self, id_or_name: str) -> Collection:
        """One by id or name; `errors.CollectionNotFound` names those there are."""
        with self._database.read() as connection:
            return find_collection(connection, self._asked_for, id_or_name)

    def present(self, ids: Sequence[str]) -> list[Collection]:
        """Those of the ids that are there, in their order, as they are now."""
        query = select(*COLUMNS).where(IS_FOUND, among(collections.c.id, ids))
        with self._database.read() as connection:
            found = [collection_of(row) for row in connection.execute(query).all()]
        return sorted(found, key=lambda one: ids.index(one.id))

    def page(self, limit: int | None, after: str | None = None) -> list[Collection]:
        """The next `limit` (None: all) in the order of their making, after that id or name (None: from the first)."""
        order = (collections.c.created_at, collections.c.id)
        query = select(*COLUMNS).where(IS_FOUND, self._mine).order_by(*order)
        if after is not None:
            last = self.find(after)
            query = query.where(tuple_(*order) > tuple_(last.created_at, last.id))
        with self._database.read() as connection:
            return [collection_of(row) for row in connection.execute(query.limit(limit))]

    def counts(self, ids: Sequence[str]) -> dict[str, int]:
        """How many documents of each can be searched; those without any are left out."""
        query = (
            select(documents.c.collection_id, func.count())
            .where(documents.c.collection_id.in_(ids), documents.c.status == "ready")
            .group_by(documents.c.collection_id)
        )
        with self._database.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def names(self, ids: Iterable[str]) -> dict[str, str]:
        """The names of collections by their ids, deleted ones included."""
        query = select(collections.c.id, collections.c.name)
        with self._database.read() as connection:
            return {
                row.id: row.name
                for some in batches(list(ids), 500)
                for row in connection.execute(query.where(collections.c.id.in_(some)))
            }

    def _insert(self, connection: Connection, name: str, embedder: str) -> Collection:
        at = datetime.now(UTC).isoformat(timespec="microseconds")
        made = Collection(new_collection_id(), name, embedder, at, workspace=self._workspace)
        return insert_collection(connection, made)


def new_collection_id() -> str:
    """An id that no collection has."""
    return f"col_{secrets.token_hex(8)}"


def insert_collection(connection: Connection, made: Collection, **noted: Any) -> Collection:
    """Keep a new one, with more of its columns."""
    values = {name: getattr(made, name) for name in Collection.__slots__}
    key = collection_key(made.name)
    connection.execute(insert(collections).values(**values, **noted, name_key=key))
    return made


def named_collection(connection: Connection, workspace: str, name: str) -> Collection | None:
    """The one of that name in a workspace."""
    row = connection.execute(select(*COLUMNS).where(IS_FOUND, _has_name(workspace, name))).first()
    return collection_of(row) if row else None


def find_collection(connection: Connection, workspace: str | None, id_or_name: str) -> Collection:
    """One by id or name; without a workspace an id of any, a name of the first. `errors.CollectionNotFound`."""
    names_of = workspace or WORKSPACE
    by_id = and_(collections.c.id == id_or_name, within(collections, workspace))
    named = or_(by_id, _has_name(names_of, id_or_name))
    row = connection.execute(select(*COLUMNS).where(IS_FOUND, named)).first()
    if row is None:
        raise _missing(connection, id_or_name, names_of)
    return collection_of(row)


def pin_embedder(connection: Connection, collection_id: str, embedder: str) -> str:
    """The embedding model that it has; that one from now on when it has none."""
    mine = collections.c.id == collection_id
    empty = collections.c.embedder == ""
    connection.execute(update(collections).where(mine, empty).values(embedder=embedder))
    return str(connection.execute(select(collections.c.embedder).where(mine)).scalar_one())


def require_found(connection: Connection, collection_id: str) -> None:
    """`errors.CollectionNotFound` when it was deleted."""
    mine = select(collections.c.id).where(collections.c.id == collection_id, IS_FOUND)
    if connection.execute(mine).first() is None:
        whose = select(collections.c.workspace).where(collections.c.id == collection_id)
        workspace = connection.execute(whose).scalar() or WORKSPACE
        raise _missing(connection, collection_id, workspace)


def mark_collection_deleting(connection: Connection, collection_id: str) -> None:
    """From now on it is not found, and its name is free; it goes with its last document."""
    mine = collections.c.id == collection_id
    connection.execute(update(collections).where(mine).values(status="deleting"))
    drop_emptied(connection)


def drop_emptied(connection: Connection) -> None:
    """Forget deleted collections whose last document has gone."""
    left = select(documents.c.id).where(documents.c.collection_id == collections.c.id)
    connection.execute(
        delete(collections).where(collections.c.status == "deleting", ~left.exists())
    )


def _has_name(workspace: str, name: str) -> ColumnElement[bool]:
    named = collections.c.name_key == collection_key(name)
    return and_(collections.c.workspace == workspace, named)


def _missing(connection: Connection, wanted: str, workspace: str) -> CollectionNotFound:
    mine = within(collections, workspace)
    query = select(collections.c.name).where(IS_FOUND, mine).order_by(collections.c.name)
    names = [row.name for row in connection.execute(query.limit(NAMES_SHOWN))]
    return CollectionNotFound(
        f"No collection {wanted!r}. Collections: {', '.join(names) or 'none'}.", collections=names
    )


def collection_of(row: Sequence[Any]) -> Collection:
    """The value of a row of `COLUMNS`."""
    return Collection(*row)
