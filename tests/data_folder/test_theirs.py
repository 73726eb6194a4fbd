"""What others keep in our folders, before the commands that repair and delete."""

import asyncio
import io
from pathlib import Path

import pytest

from api.__main__ import main
from api.index.chroma import open_embedded
from tests.data_folder.place import FOLDERS, Place, put_into


@pytest.fixture
def theirs(place: Place, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """It lies in every folder of a place with a document and a job, whose derived folders are damaged."""
    asyncio.run(place.add(0))
    found = [path for name in (*FOLDERS, "base_models") for path in put_into(place.folder / name)]
    for name in ("blobs", "manifests"):
        found += put_into(place.settings.models_dir / name)
    (place.settings.chroma_dir / "chroma.sqlite3").write_bytes(b"torn")
    (place.settings.lexical_dir / "meta.json").write_text("torn")
    monkeypatch.setenv("LLM_FASTAPI_DATA_DIR", str(place.folder))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    return found


@pytest.mark.parametrize(
    "command",
    [
        ["doctor"],
        ["doctor", "--check"],
        ["doctor", "--adopt"],
        ["doctor", "--purge"],
        ["clean", "documents", "--yes"],
        ["clean", "vectors", "--yes"],
        ["clean", "models", "--yes", "--all"],
        ["clean", "jobs", "--yes"],
    ],
    ids=" ".join,
)
def test_no_command_touches_it(command: list[str], theirs: list[Path]) -> None:
    main(command)
    assert [path for path in theirs if not path.exists()] == []


def test_a_vector_store_that_is_thrown_away_leaves_it(place: Place) -> None:
    place.settings.chroma_dir.mkdir(parents=True)
    theirs = put_into(place.settings.chroma_dir)
    (place.settings.chroma_dir / "chroma.sqlite3").write_bytes(b"torn" * 2000)
    open_embedded(place.settings.chroma_dir).close()
    assert [path for path in theirs if not path.exists()] == []
