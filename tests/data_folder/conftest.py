"""A data folder of its own."""

from pathlib import Path

import pytest

from tests.data_folder.place import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A folder of its own."""
    return Place(tmp_path / "data")
