"""The id of an installation and the marks of its folders."""

import sqlite3
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from api.store import open_store
from api.store.database import MIGRATIONS


def test_the_id_is_made_once_and_the_marks_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    store = open_store(path)
    made = store.installation.id()
    assert store.installation.mark("documents") is None
    store.installation.set_mark("documents", 3)
    store.close()
    store = open_store(path)
    assert store.installation.id() == made
    assert store.installation.mark("documents") == 3
    assert store.installation.mark("jobs") is None
    store.close()


def test_a_database_of_the_first_schema_keeps_its_rows_and_a_copy_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    first_schema(path)
    with sqlite3.connect(path) as connection:
        connection.execute(
            "INSERT INTO models VALUES ('ada', 'ada', 'persona', 'demo', '', '2026')"
        )
    connection.close()
    store = open_store(path)
    assert store.models.all()["ada"].base == "demo"
    assert store.installation.id()
    store.close()
    assert path.with_name("state.sqlite3.before-0001").is_file()


def first_schema(path: Path) -> None:
    """The file as the first version made it."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with create_engine(f"sqlite:///{path}").begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
