"""The stand-in, listening."""

from collections.abc import Iterator

import pytest

from tests.backends.stand_in import StandIn
from tests.service import listening


@pytest.fixture(scope="session")
def _standing_in() -> Iterator[tuple[StandIn, str]]:
    stand_in = StandIn()
    with listening(stand_in.app) as port:
        yield stand_in, f"http://127.0.0.1:{port}"


@pytest.fixture
def stand_in(_standing_in: tuple[StandIn, str]) -> StandIn:
    """It, having been sent nothing."""
    stand_in, _ = _standing_in
    stand_in.sent.clear()
    return stand_in


@pytest.fixture
def address(_standing_in: tuple[StandIn, str]) -> str:
    """What stands before `/PROVIDER/v1`."""
    return _standing_in[1]
