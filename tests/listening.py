"""Places on loopback: one that nobody may reach, and one for a program that is yet to start."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def reserved() -> Iterator[int]:
    """A port that nobody is given until the end, but who asks for it by its number: a program that is yet to start."""
    with socket.socket() as place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(("127.0.0.1", 0))
        yield place.getsockname()[1]


@contextmanager
def unreached() -> Iterator[int]:
    """The port of a listener; who connects to it fails the test."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
