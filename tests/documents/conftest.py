"""A house of documents, open."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.documents.house import House


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A house that is open."""
    house = House(tmp_path).open()
    yield house
    await house.close()
