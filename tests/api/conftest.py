"""The service that route tests ask."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.service import Service, close_service, open_service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = open_service(tmp_path)
    yield service
    close_service(service)
