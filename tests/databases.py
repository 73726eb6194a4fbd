"""Databases that come with all migrations behind them: running those is most of what a test over a new one costs."""

import functools
import tempfile
from pathlib import Path

from api.store import Store, open_store


def open_migrated(path: Path) -> Store:
    """`open_store`, over an empty database of the newest schema where there is none yet."""
    return open_store(migrated(path))


def migrated(path: Path) -> Path:
    """The path, at which there is a database now."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_empty())
    return path


@functools.cache
def _empty() -> bytes:
    """As the migrations leave it; `tests/store/test_migrations.py` has them run."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.sqlite3"
        open_store(path).close()
        assert [one.name for one in path.parent.iterdir()] == [path.name]
        return path.read_bytes()
