"""A database that the version with schema 0001 made (`tests/data/make_state_0001.py`), brought to today's schema."""

import shutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from api.documents.doctor import examine
from api.index.chroma import client_settings
from api.index.lexical import Entry, LexicalIndex
from api.index.values import VectorSet, Wanted
from api.store import open_store
from api.store.database import MIGRATIONS
from api.store.tables import metadata
from tests.documents.house import House
from tests.fakes import FakeRuntime

pytestmark = pytest.mark.anyio

OLD = Path(__file__).parent.parent / "data" / "state_0001.sqlite3"
CAFE = "When does the canteen open?"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A copy of the old file."""
    return Path(shutil.copy(OLD, tmp_path / "state.sqlite3"))


def old_vectors(folder: Path) -> None:
    """A Chroma folder as the old version left it, with a collection a model."""
    client = chromadb.PersistentClient(folder, settings=client_settings())
    names = {"model": "demo", "embedder": "all-minilm-l6-v2:64"}
    made = client.create_collection(VectorSet(*names.values()).name, metadata=names)
    made.add(ids=["1"], embeddings=np.ones((1, 64), dtype=np.float32))
    client.close()  # type: ignore[attr-defined]  # missing in chromadb's ClientAPI


@pytest.fixture
async def house(path: Path) -> AsyncIterator[House]:
    """A house over the old file, with the files and the words that the old version had beside it, at its start."""
    folder = path.parent
    (folder / "documents").mkdir()
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT id, status FROM documents WHERE status != 'failed'")
        for document_id, _ in rows:
            (folder / "documents" / f"{document_id}.pdf").write_bytes(b"%PDF-1.7")
        chunks = connection.execute(
            "SELECT chunks.id, documents.id, model, text FROM chunks "
            "JOIN documents ON documents.id = document_id WHERE status = 'ready'"
        ).fetchall()
    connection.close()
    come = [Entry(one, document, model or "*", "", text) for one, document, model, text in chunks]
    LexicalIndex(folder / "lexical").follow(5, [], come)
    old_vectors(folder / "chroma")
    house = House(folder, embedded=True)
    house.runtime.add_models_of(FakeRuntime(embedding_model="all-minilm-l6-v2"))
    house.open()
    yield house
    await house.close()


def test_the_old_file_becomes_the_schema_of_the_code_and_is_kept_beside_it(path: Path) -> None:
    store = open_store(path)
    assert store.database.integrity_problems() == []
    store.close()
    with create_engine(f"sqlite:///{path}").connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    with sqlite3.connect(path.with_name("state.sqlite3.before-0001")) as kept:
        assert kept.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
        assert kept.execute("SELECT count(*) FROM documents").fetchone() == (6,)
    kept.close()


def test_every_document_keeps_its_id_name_and_state_and_equal_bytes_become_one_content(
    path: Path,
) -> None:
    with sqlite3.connect(path) as connection:
        columns = "id, name, status, sha256, size_bytes, title, pages_total, created_at"
        before = set(connection.execute(f"SELECT {columns} FROM documents"))  # noqa: S608
    connection.close()
    store = open_store(path)
    after = {
        tuple(getattr(one, column) for column in columns.split(", "))
        for one in store.documents.all()
    }
    assert after == before
    own = {one.name: one for one in store.documents.ready_in(store.collections.scope_of("demo"))}
    other = {one.name: one for one in store.documents.ready_in(store.collections.scope_of("ADA"))}
    assert set(own) == {"handbook.pdf", "tower.pdf"}
    assert set(other) == {"Staff handbook.pdf", "tower.pdf"}
    assert own["handbook.pdf"].content_id == other["Staff handbook.pdf"].content_id
    found = store.collections.page(10)
    assert {one.name for one in found} == {"demo", "Ada", "*"}
    for one in found:  # each keeps what embedded it, whatever the settings say now
        kept = (one.embedder, one.query_template, one.passage_template)
        assert kept == ("all-minilm-l6-v2", "{text}", "{text}")
    (failed,) = store.documents.all("failed")
    assert failed.error is not None
    assert failed.error["reason"] == "no_text"
    store.close()


def test_jobs_and_records_of_models_stay(path: Path) -> None:
    store = open_store(path)
    (job,) = store.jobs.all()
    assert (job.id, job.model_name, job.status) == ("job_0123456789abcdef", "tuned", "queued")
    records = store.models.all()
    assert {(one.name, one.kind, one.base) for one in records.values()} == {
        ("Ada", "persona", "demo"),
        ("tuned", "fine-tune", "demo"),
    }
    store.close()


def steps_to_today(path: Path, number: int) -> int:
    """How many thousand steps SQLite takes for a database with that many documents, each twice."""
    with sqlite3.connect(path) as connection:
        connection.executemany(
            "INSERT INTO documents (id, name, name_key, model, sha256, size_bytes, status, embedder, created_at) "
            "VALUES (?, ?, ?, ?, ?, 1, 'ready', 'tiny:4', '2026')",
            [
                (f"doc_{model}{n}", f"{n}.pdf", f"{n}", model, f"{n:064x}")
                for model in ("ada", "bob")
                for n in range(number)
            ],
        )
    connection.close()
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    with create_engine(f"sqlite:///{path}").begin() as migrating:
        driver: Any = migrating.connection.driver_connection
        driver.set_progress_handler(count, 1000)
        config.attributes["connection"] = migrating
        command.upgrade(config, "head")
    return steps


def test_many_documents_take_no_more_steps_each_than_few(path: Path) -> None:
    more = Path(shutil.copy(path, path.with_name("more.sqlite3")))
    assert steps_to_today(more, 4000) < 5 * steps_to_today(path, 1000)


async def test_after_the_next_start_everything_is_found_and_nothing_was_embedded_again(
    house: House,
) -> None:
    await house.index.repair()
    await house.deleter.resume()
    await house.deleter.settled()
    assert house.runtime.embedded == []
    for model, name in (("demo", "handbook.pdf"), ("ada", "Staff handbook.pdf")):
        (found,) = await house.index.candidates(house.scope(model), [Wanted(CAFE)], None, 3)
        ids = [found.dense[0].chunk_id, found.lexical[0].chunk_id]
        texts = house.store.chunks.found(ids, house.scope(model).ids)
        assert {one.document for one in texts.values()} == {name}
        assert "11:45" in texts[ids[1]].text
    assert house.runtime.embedded == [CAFE, CAFE]
    house.runtime.embedded.clear()
    await house.importer.resume()
    (half,) = house.store.documents.all("importing")
    assert (await house.ended(half)).status == "ready"
    assert len(house.runtime.embedded) == len(house.chunk_ids(half)) - 16
    await house.importer.settled()
    for _ in range(2):  # also at the start after the next
        assert not house.folders.documents.note
        assert await examine(house.store, house.index, house.files, repair=False) == []
        await house.close()
        house.open()
        await house.importer.resume()
    ready = house.store.documents.all("ready")
    (second,) = [one for one in ready if one.id != one.content_id]  # two models had a PDF each
    assert house.files.exists(second.id)
    await house.deleter.delete([second])
    await house.deleter.settled()
    assert house.is_whole()
    assert await examine(house.store, house.index, house.files, repair=False) == []


async def test_vectors_from_before_digests_count_as_the_present_models_once(house: House) -> None:
    await house.index.repair()
    version = await house.index.embedder_of(house.scope().collections[0]).version()
    assert "@" in version
    assert {one.embedder for one in house.store.documents.all("ready")} == {version}
    assert house.store.documents.embedders() == {version}
