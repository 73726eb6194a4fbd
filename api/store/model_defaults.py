"""What is kept with models beside what their runtimes keep, by the runtime's names, which tell workspaces apart."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import JSON, Column, String, Table, delete, insert, select

from api.names import model_key
from api.store.database import Database
from api.store.tables import metadata

model_defaults = Table(
    "model_defaults",
    metadata,
    Column("key", String, primary_key=True),
    Column("about", JSON, nullable=False),
)


class ModelDefaults:
    """Queries over them; each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[str, Mapping[str, Any]]:
        """Those of every model that has some, by `names.model_key`."""
        with self._database.read() as connection:
            return {row.key: row.about for row in connection.execute(select(model_defaults))}

    def get(self, name: str) -> Mapping[str, Any]:
        """Those of one model; nothing where it has none."""
        wanted = select(model_defaults.c.about).where(model_defaults.c.key == model_key(name))
        with self._database.read() as connection:
            return connection.execute(wanted).scalar() or {}

    def put(self, name: str, about: Mapping[str, Any], *, without: str = "") -> None:
        """Keep these in place of earlier ones, nothing where they are empty; and none any more for `without`."""
        keys = [model_key(name), *([model_key(without)] if without else [])]
        with self._database.freeing() as connection:
            connection.execute(delete(model_defaults).where(model_defaults.c.key.in_(keys)))
            if about:
                connection.execute(insert(model_defaults).values(key=keys[0], about=dict(about)))
