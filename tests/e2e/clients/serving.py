"""A client that is a server itself."""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx2

from tests.listening import reserved

START_SECONDS = 600
"""Some prepare a database and look for models at their first start."""


@contextmanager
def program(command: Sequence[str], port_option: str, ready: str, **env: str) -> Iterator[str]:
    """A program that serves HTTP; its URL, as soon as the path `ready` answers 200."""
    with reserved() as port:
        process = subprocess.Popen(
            [*command, port_option.format(port=port)],
            env=os.environ | env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        url = f"http://127.0.0.1:{port}"
        try:
            _wait(process, f"{url}{ready}")
            yield url
        finally:
            process.terminate()
            process.wait(timeout=60)


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, f"{process.args!r} ended with {process.returncode}"
        try:
            if httpx2.get(url, timeout=5).status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"{url} did not answer within {START_SECONDS} s")
