"""An embedded Chroma folder that was damaged does not take the service along."""

import logging
from pathlib import Path

import numpy as np
import pytest

from api.index.chroma import open_embedded
from api.index.values import VectorSet

LIBRARY = VectorSet("col_demo", "tiny:16")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Chroma folder with so many vectors that its graph lies on the disk."""
    folder = tmp_path_factory.mktemp("made") / "chroma"
    vectors = open_embedded(folder)
    rows = np.random.default_rng(1).normal(size=(1100, 16)).astype(np.float32)
    vectors.put(LIBRARY, list(range(1100)), rows)
    vectors.query(LIBRARY, rows[:1], 1)
    vectors.close()
    assert not folder.with_name("chroma.in_use").exists()
    return folder


def damaged_copy(folder: Path, target: Path, file: str) -> Path:
    """The folder with one file whose bytes are turned over."""
    for source in (path for path in folder.rglob("*") if path.is_file()):
        copy = target / source.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        content = source.read_bytes()
        copy.write_bytes(bytes(255 - byte for byte in content) if source.name == file else content)
    return target


@pytest.mark.parametrize("file", ["header.bin", "chroma.sqlite3"])
def test_after_an_unclean_stop_a_damaged_folder_begins_anew(
    folder: Path, tmp_path: Path, file: str, caplog: pytest.LogCaptureFixture
) -> None:
    copy = damaged_copy(folder, tmp_path / "chroma", file)
    (tmp_path / "chroma.in_use").touch()
    with caplog.at_level(logging.WARNING):
        vectors = open_embedded(copy)
    assert "damaged" in caplog.text
    assert vectors.sets() == set()
    vectors.put(LIBRARY, [1], np.ones((1, 16), dtype=np.float32))
    assert vectors.ids(LIBRARY) == {1}
    vectors.close()


def test_after_an_unclean_stop_a_sound_folder_is_kept(folder: Path, tmp_path: Path) -> None:
    copy = damaged_copy(folder, tmp_path / "chroma", "none")
    (tmp_path / "chroma.in_use").touch()
    vectors = open_embedded(copy)
    assert len(vectors.ids(LIBRARY)) == 1100
    vectors.close()


def test_a_database_that_cannot_be_opened_begins_anew_after_a_clean_stop_too(
    folder: Path, tmp_path: Path
) -> None:
    vectors = open_embedded(damaged_copy(folder, tmp_path / "chroma", "chroma.sqlite3"))
    assert vectors.sets() == set()
    vectors.close()
