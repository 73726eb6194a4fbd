"""Holds a server for who started it: keeps its log within bounds, and ends it with all that it started.

    python -m finetune.job.guard LOG -- COMMAND ...

The server is the head of a group of its own. When our standard input closes, with whoever holds its other end, the
group is asked to end, and killed after a while; when the server ends, so does what it left, which may first clear up
after it. Standard library only.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from finetune.job import child_process

GRACE_SECONDS = 5.0
"""vLLM needs two, to end what it started."""
CLEARING_SECONDS = 2.0
MOST_LOG_BYTES = 2**20
"""Of a log, and as many of what stood in it before."""


def main(log: str, *rest: str) -> int:
    """Run the server to its end; its status, or 128 and the signal that ended it."""
    server = child_process.start(
        rest[1:],
        env=os.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert server.stdout  # noqa: S101
    keeping = threading.Thread(target=_keep, args=(server.stdout, Path(log)), daemon=True)
    keeping.start()
    threading.Thread(target=_end_with_us, args=(server,), daemon=True).start()
    status = server.wait()
    _let_it_clear_up(server)
    _signal(server, signal.SIGKILL)
    keeping.join(CLEARING_SECONDS)
    return status if status >= 0 else 128 - status


def _end_with_us(server: "subprocess.Popen[bytes]") -> None:
    """Wait until our standard input closes; then end the group."""
    while os.read(0, 4096):
        pass
    _signal(server, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        server.wait(GRACE_SECONDS)
    _signal(server, signal.SIGKILL)


def _let_it_clear_up(server: "subprocess.Popen[bytes]") -> None:
    """What the server left is asked to end, and waited for: multiprocessing's tracker removes shared memory at last."""
    _signal(server, signal.SIGTERM)
    ends = time.monotonic() + CLEARING_SECONDS
    with suppress(ProcessLookupError, PermissionError):
        while time.monotonic() < ends:
            os.killpg(server.pid, 0)
            time.sleep(0.02)


def _signal(server: "subprocess.Popen[bytes]", which: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(server.pid, which)


def _keep(written: IO[bytes], log: Path) -> None:
    """Write what comes to the log; what cannot be written is lost, and the server goes on."""
    while part := os.read(written.fileno(), 65536):
        with suppress(OSError):
            if log.exists() and log.stat().st_size + len(part) > MOST_LOG_BYTES:
                log.replace(log.with_suffix(".before.txt"))
            with log.open("ab") as file:
                file.write(part)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
