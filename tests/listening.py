"""A place that nobody may reach."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def unreached() -> Iterator[int]:
    """The port of a listener; who connects to it fails the test."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
