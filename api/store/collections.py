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

from api.errors import CollectionNotFound, NameTaken, ReadOnly
from api.names import FOR_ALL, WORKSPACE, collection_key, model_key
from api.store.database import Database, among, batches
from api.store.tables import IS_FOUND, collections, documents, seen_by, within

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
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """Where to look for documents: those of the first collection go before others of the same name, and what is shared
    comes last.

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
    """Queries over the collections of a workspace and those that are shared with it, of which its own goes before one
    of the same name; each method is one transaction.

    Without a workspace an id means a collection of any, a name one of the first.
    """

    def __init__(self, database: Database, workspace: str | None = None) -> None:
        self._database = database
        self._asked_for = workspace
        self._workspace = workspace or WORKSPACE
        self._seen = seen_by(collections, workspace)

    def of(self, workspace: str) -> "Collections":
        """Those of a workspace."""
        return Collections(self._database, workspace)

    def create(self, name: str, embedder: str = "") -> Collection:
        """A new one; `errors.NameTaken` by one of its own."""
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

    def embedded_by(self, models: Iterable[str]) -> list[str]:
        """The names of the collections of all workspaces that models of these names embed, by the alphabet."""
        keys = {model_key(name) for name in models}
        query = select(collections.c.name, collections.c.embedder).where(IS_FOUND)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return sorted(row.name for row in rows if model_key(row.embedder) in keys)

    def of_model(self, model: str) -> Collection:
        """A model's default collection, made on first use; that for all models when the name is empty."""
        return self.named(model or FOR_ALL)

    def named(self, name: str, embedder: str = "") -> Collection:
        """The one of that name, whatever embeds it; made, with that embedding model, when there is none."""
        with self._database.write() as connection:
            found = named_collection(connection, self._workspace, name)
            return found or self._insert(connection, name, embedder)

    def scope_of(self, model: str) -> Scope:
        """Where a model looks: in its own collection and in that for all, as far as they are there, and then in those
        of these names that are shared.
        """
        keys = [collection_key(name) for name in dict.fromkeys((model or FOR_ALL, FOR_ALL))]
        named = (collections.c.name_key.in_(keys), seen_by(collections, self._workspace))
        query = select(*COLUMNS).where(IS_FOUND, *named)
        with self._database.read() as connection:
            found = [collection_of(row) for row in connection.execute(query)]
        found.sort(key=lambda one: (not self.owns(one), keys.index(collection_key(one.name))))
        return Scope(f"model {model!r}", tuple(found))

    def scope(self, model: str, collection: str = "") -> Scope:
        """That collection alone (by id or name), or where the model looks; `errors.CollectionNotFound`."""
        if not collection:
            return self.scope_of(model)
        found = self.seen(collection)
        return Scope(f"collection {found.name!r}", (found,))

    def seen(self, id_or_name: str) -> Collection:
        """One to look into, by id or name; `errors.CollectionNotFound` names those there are."""
        with self._database.read() as connection:
            return find_collection(connection, self._asked_for, id_or_name)

    def find(self, id_or_name: str) -> Collection:
        """One of its own, which may be changed; `errors.ReadOnly` for one that is shared with it."""
        found = self.seen(id_or_name)
        require_own(found, self._asked_for)
        return found

    def owns(self, collection: Collection) -> bool:
        """Whether it is the workspace's own."""
        return collection.workspace == self._workspace

    def share(self, id: str, shared: bool) -> Collection:
        """Let every workspace look into it, or no other one any more."""
        mine = collections.c.id == id
        with self._database.write() as connection:
            connection.execute(update(collections).where(mine).values(shared=shared))
            return collection_of(connection.execute(select(*COLUMNS).where(mine)).one())

    def present(self, ids: Sequence[str]) -> list[Collection]:
        """Those of the ids that can be looked into, in their order, as they are now."""
        query = select(*COLUMNS).where(IS_FOUND, self._seen, among(collections.c.id, ids))
        with self._database.read() as connection:
            found = [collection_of(row) for row in connection.execute(query).all()]
        return sorted(found, key=lambda one: ids.index(one.id))

    def page(self, limit: int | None, after: str | None = None) -> list[Collection]:
        """The next `limit` (None: all) in the order of their making, after that id or name (None: from the first)."""
        order = (collections.c.created_at, collections.c.id)
        query = select(*COLUMNS).where(IS_FOUND, self._seen).order_by(*order)
        if after is not None:
            last = self.seen(after)
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
    """The one of that name of a workspace's own."""
    named = (within(collections, workspace), _has_name(name))
    row = connection.execute(select(*COLUMNS).where(IS_FOUND, *named)).first()
    return collection_of(row) if row else None


def find_collection(connection: Connection, workspace: str | None, id_or_name: str) -> Collection:
    """One that a workspace sees, by id or name, its own first; without a workspace an id of any, a name of the first.
    `errors.CollectionNotFound`.
    """
    names_of = workspace or WORKSPACE
    by_id = and_(collections.c.id == id_or_name, seen_by(collections, workspace))
    by_name = and_(_has_name(id_or_name), seen_by(collections, names_of))
    query = select(*COLUMNS).where(IS_FOUND, or_(by_id, by_name))
    own_first = query.order_by(collections.c.workspace != names_of)
    row = connection.execute(own_first).first()
    if row is None:
        raise _missing(connection, id_or_name, names_of)
    return collection_of(row)


def require_own(found: Collection, workspace: str | None) -> None:
    """`errors.ReadOnly` when it is shared with that workspace."""
    if workspace not in (None, found.workspace):
        raise ReadOnly(
            f"The collection {found.name!r} is shared by the workspace {found.workspace!r}, which alone can change or "
            "delete it. Here it can be searched and cited."
        )


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


def _has_name(name: str) -> ColumnElement[bool]:
    return collections.c.name_key == collection_key(name)


def _missing(connection: Connection, wanted: str, workspace: str) -> CollectionNotFound:
    seen = seen_by(collections, workspace)
    query = select(collections.c.name).where(IS_FOUND, seen).order_by(collections.c.name)
    names = [row.name for row in connection.execute(query.limit(NAMES_SHOWN))]
    return CollectionNotFound(
        f"No collection {wanted!r}. Collections: {', '.join(names) or 'none'}. `POST /collections` makes one.",
        collections=names,
    )


def collection_of(row: Sequence[Any]) -> Collection:
    """The value of a row of `COLUMNS`."""
    return Collection(*row)
