"""A small library, open."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.index.library import Library


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """A library that is open."""
    library = Library(tmp_path).open()
    yield library
    library.close()
