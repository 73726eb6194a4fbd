"""A database of a test, made and looked at beside the service."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from api.settings.values import Database as Setting
from api.tables.databases import Database

ITEMS = """CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price NUMERIC(8, 2),
    sold DATE, mood TEXT)"""


class Shop:
    """`url` is what the settings are told; `run` and `rows` go around the service."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))

    def run(self, *statements: str) -> None:
        """Each, and all of them committed."""
        with self._engine.begin() as connection:
            for one in statements:
                connection.exec_driver_sql(one)

    def rows(self, select: str) -> list[tuple[Any, ...]]:
        """What a SELECT gives."""
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(select)]

    def stocked(self, count: int = 5) -> "Shop":
        """With so many items."""
        self.run(ITEMS)
        with self._engine.begin() as connection:
            rows = [{"id": n, "name": f"item {n}", "price": n / 4} for n in range(1, count + 1)]
            insert = sa.text("INSERT INTO items (id, name, price) VALUES (:id, :name, :price)")
            connection.execute(insert, rows)
        return self

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """While somebody else has its items, so that nobody can write them."""
        lock = (
            "BEGIN IMMEDIATE" if self.url.startswith("sqlite") else "LOCK items IN EXCLUSIVE MODE"
        )
        with self._engine.connect() as connection:
            connection.exec_driver_sql(lock)
            yield

    def setting(self, **more: Any) -> Mapping[str, Any]:
        """As `LLM_FASTAPI_DATABASES` has it."""
        return {"url": self.url, **more}

    def opened(self, **more: Any) -> Database:
        """As the service opens it."""
        return Database("shop", Setting(**self.setting(**more)))

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()
