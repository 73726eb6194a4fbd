"""A small library, open, and vectors that fail."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.index.library import Library
from tests.index.memory import FailingVectors


@pytest.fixture
async def library(tmp_path: Path) -> AsyncIterator[Library]:
    """A library that is open."""
    library = Library(tmp_path).open()
    yield library
    library.close()


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> FailingVectors:
    """Vectors that can fail, before an index that tries again at once."""
    monkeypatch.setattr("api.index.dense.FIRST_PAUSE_SECONDS", 0.01)
    return FailingVectors()
