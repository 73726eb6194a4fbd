"""The database file: new, old, newer, damaged, and the schema it is brought to."""

import contextlib
import resource
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from api.errors import ApiError, CannotStart, Unavailable
from api.store import open_store
from api.store.contents import Extracted, Page
from api.store.database import MIGRATIONS
from api.store.tables import metadata


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with a document in it, closed."""
    path = tmp_path / "data" / "state.sqlite3"
    store = open_store(path)
    demo = store.collections.of_model("demo")
    store.documents.add("a.pdf", demo, "0" * 64, 10, "tiny")
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


def test_a_row_that_fits_to_nothing_is_a_defect_and_not_to_be_tried_again(path: Path) -> None:
    store = open_store(path)
    with pytest.raises(ApiError, match="FOREIGN KEY") as refusal, store.database.write() as writing:
        writing.exec_driver_sql("UPDATE documents SET collection_id = 'col_gone'")
    assert refusal.value.status == 500
    store.close()


@pytest.mark.parametrize("harm", ["cut", "zeroed", "empty"])
def test_a_file_that_cannot_be_opened_is_refused_by_name_and_kept(path: Path, harm: str) -> None:
    content = path.read_bytes()
    harmed = {"cut": content[:-4096], "zeroed": bytes(len(content)), "empty": b""}
    path.write_bytes(harmed[harm])
    before = path.read_bytes()
    with pytest.raises(CannotStart, match=r"state\.sqlite3"):
        open_store(path)
    assert path.read_bytes() == before


def damage(path: Path) -> bytes:
    """Harm the last page, so that the file still opens; returns what there is now."""
    path.write_bytes(path.read_bytes()[:-4096] + b"\xff" * 4096)
    return path.read_bytes()


def test_a_damaged_file_is_found_by_looking_through_it_and_kept(path: Path) -> None:
    before = damage(path)
    store = open_store(path)
    with pytest.raises(Unavailable, match=r"damaged.*backup"):
        store.database.require_sound()
    store.close()
    assert path.read_bytes() == before


def test_a_damaged_file_is_never_migrated(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM alembic_version")
    connection.close()
    before = damage(path)
    with pytest.raises(CannotStart, match=r"state\.sqlite3 is damaged"):
        open_store(path)
    assert path.read_bytes() == before


def test_a_long_look_through_the_file_ends_with_the_store(path: Path) -> None:
    store = open_store(path)
    (document,) = store.documents.all()
    store.contents.set_pages(
        document.content_id, Extracted("", tuple(Page(n, "text") for n in range(5000)))
    )
    store.database.require_sound()
    store.close()
    with pytest.raises(Unavailable, match="interrupted"):
        store.database.require_sound()
    store.close()


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
        store.contents.pages("doc_any")
    store.close()


def test_a_model_of_an_older_schema_gets_the_base_below_all_that_it_is_built_on(
    tmp_path: Path,
) -> None:
    path = tmp_path / "state.sqlite3"
    before_the_roots = "0002"
    _database_of(before_the_roots, path)
    rows = [
        ("ada", "persona", "demo"),
        ("bob", "persona", "Ada:latest"),
        ("tuned", "fine-tune", "mistral"),
        ("cleo", "persona", "tuned"),
        ("itself", "persona", "itself"),
    ]
    with sqlite3.connect(path) as connection:
        connection.executemany(
            "INSERT INTO models (key, name, kind, base, created_at) VALUES (?1, ?1, ?2, ?3, '')",
            rows,
        )
    connection.close()
    store = open_store(path)
    roots = {key: record.root for key, record in store.models.all().items()}
    store.close()
    assert roots == {
        "ada": "demo",
        "bob": "demo",
        "tuned": "mistral",
        "cleo": "mistral",
        "itself": "",
    }


def test_where_no_copy_of_an_older_schema_fits_nothing_is_begun(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    _database_of("0002", path)
    before = path.read_bytes()
    with (
        files_of_at_most(len(before) - 4096),
        pytest.raises(CannotStart, match=rf"Make room for {len(before)} bytes"),
    ):
        open_store(path)
    assert list(tmp_path.glob("*before*")) == list(tmp_path.glob(".*before*")) == []
    assert path.read_bytes()[100:] == before[100:]
    open_store(path).close()
    assert path.with_name("state.sqlite3.before-0002").stat().st_size == len(before)


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Who writes more into one is told so, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _database_of(revision: str, path: Path) -> None:
    """A database as the version with that schema has left it."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with create_engine(f"sqlite:///{path}").begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
