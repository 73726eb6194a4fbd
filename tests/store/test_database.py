"""The database file: new, old, newer, damaged, and the schema it is brought to."""

import shutil
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from api.errors import CannotStart, Unavailable
from api.store import open_store
from api.store.tables import metadata


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with a document in it, closed."""
    path = tmp_path / "data" / "state.sqlite3"
    store = open_store(path)
    store.documents.add("a.pdf", "demo", "0" * 64, 10)
    store.close()
    return path


def test_migrations_lead_to_the_schema_of_the_code(path: Path) -> None:
    with create_engine(f"sqlite:///{path}").connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_opening_again_changes_nothing(path: Path) -> None:
    before = path.read_bytes()
    store = open_store(path)
    assert [one.name for one in store.documents.all()] == ["a.pdf"]
    assert store.database.integrity_problems() == []
    store.close()
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused_and_untouched(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(CannotStart, match="newer version"):
        open_store(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("harm", ["cut", "zeroed", "overwritten", "empty"])
def test_a_damaged_file_is_refused_by_name_and_kept(path: Path, harm: str) -> None:
    content = path.read_bytes()
    path.write_bytes(
        {
            "cut": content[: len(content) // 2],
            "zeroed": bytes(len(content)),
            "overwritten": content[:4096] + b"\xff" * 4096 + content[8192:],
            "empty": b"",
        }[harm]
    )
    before = path.read_bytes()
    with pytest.raises(CannotStart, match=r"state\.sqlite3"):
        open_store(path)
    assert path.read_bytes() == before


def test_a_missing_file_begins_anew(path: Path) -> None:
    shutil.rmtree(path.parent)
    store = open_store(path)
    assert store.documents.all() == []
    store.database.check()
    store.close()


def test_a_table_that_is_gone_is_a_problem_with_a_status(path: Path) -> None:
    store = open_store(path)
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE pages")
    connection.close()
    with pytest.raises(Unavailable):
        store.documents.pages("doc_any")
    store.close()
