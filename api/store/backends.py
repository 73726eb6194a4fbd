"""Back ends, without their keys, and the models that are named on them."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    ForeignKey,
    Index,
    String,
    Table,
    delete,
    insert,
    select,
    update,
)

from api.names import model_key
from api.store.database import Database
from api.store.model_defaults import model_defaults
from api.store.tables import metadata

back_ends = Table(
    "back_ends",
    metadata,
    Column("name", String, primary_key=True),
    Column("settings", JSON, nullable=False),
    Column("created_at", String, nullable=False),
)

remote_models = Table(
    "remote_models",
    metadata,
    Column("key", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("back_end", String, ForeignKey("back_ends.name", ondelete="CASCADE"), nullable=False),
    Column("about", JSON, nullable=False),
    Index("models_of_a_back_end", "back_end"),
)


@dataclass(frozen=True, slots=True)
class BackEndRow:
    """A back end as it is stored; `settings` is what it was made with."""

    name: str
    settings: dict[str, Any]
    created_at: str


@dataclass(frozen=True, slots=True)
class RemoteModelRow:
    """A model on a back end, by our name; `about` is what is known of it."""

    name: str
    back_end: str
    about: dict[str, Any]


class BackEnds:
    """Queries over back ends and their models; each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[BackEndRow]:
        """Every back end, by name."""
        with self._database.read() as connection:
            rows = connection.execute(select(back_ends).order_by(back_ends.c.name)).mappings()
            return [BackEndRow(**row) for row in rows]

    def models(self) -> list[RemoteModelRow]:
        """Every model on any of them."""
        wanted = select(remote_models.c.name, remote_models.c.back_end, remote_models.c.about)
        with self._database.read() as connection:
            return [RemoteModelRow(**row) for row in connection.execute(wanted).mappings()]

    def put(
        self, row: BackEndRow, models: Collection[RemoteModelRow], without: Collection[str]
    ) -> None:
        """Keep a back end with these of its models, and no more `without` those names."""
        values = {"settings": row.settings, "created_at": row.created_at}
        here = back_ends.c.name == row.name
        with self._database.write() as connection:
            if not connection.execute(update(back_ends).where(here).values(**values)).rowcount:
                connection.execute(insert(back_ends).values(name=row.name, **values))
            gone = [model_key(name) for name in (*without, *(model.name for model in models))]
            connection.execute(delete(remote_models).where(remote_models.c.key.in_(gone)))
            lost = [model_key(name) for name in without]
            connection.execute(delete(model_defaults).where(model_defaults.c.key.in_(lost)))
            for model in models:
                connection.execute(insert(remote_models).values(**_values(model)))

    def remove(self, name: str) -> None:
        """Delete a back end with all its models, and what was kept with those."""
        named = select(remote_models.c.key).where(remote_models.c.back_end == name)
        with self._database.write() as connection:
            connection.execute(delete(model_defaults).where(model_defaults.c.key.in_(named)))
            connection.execute(delete(back_ends).where(back_ends.c.name == name))

    def put_model(self, model: RemoteModelRow, instead_of: str) -> None:
        """Keep a model, in place of that of another name."""
        gone = [model_key(model.name), model_key(instead_of)]
        with self._database.write() as connection:
            connection.execute(delete(remote_models).where(remote_models.c.key.in_(gone)))
            connection.execute(insert(remote_models).values(**_values(model)))

    def remove_model(self, name: str) -> None:
        """Delete a model."""
        with self._database.write() as connection:
            connection.execute(delete(remote_models).where(remote_models.c.key == model_key(name)))


def _values(model: RemoteModelRow) -> dict[str, Any]:
    return {
        "key": model_key(model.name),
        "name": model.name,
        "back_end": model.back_end,
        "about": model.about,
    }
