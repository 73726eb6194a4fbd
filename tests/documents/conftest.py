"""A house of documents, open, and vectors that fail."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.documents.house import House
from tests.index.memory import FailingVectors


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A house that is open."""
    house = House(tmp_path).open()
    yield house
    await house.close()


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> FailingVectors:
    """Vectors that can fail, before an index that tries again at once."""
    monkeypatch.setattr("api.index.dense.FIRST_PAUSE_SECONDS", 0.01)
    return FailingVectors()
