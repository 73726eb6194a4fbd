"""Room on the disk that is kept for deleting: who wants to free space on a full disk must be able to."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

RESERVED_BYTES = 4 * 2**20
"""Several times what deleting a document writes into the database, the word index and the vectors."""
NEEDED_BYTES = 2**20
"""With less than this free, the reserve is given up."""
PLENTY_BYTES = 16 * 2**20
"""With more than this free, it is taken again."""


class Reserve:
    """A file that holds the space until it is needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_kept = False

    def fill(self) -> None:
        """Take the space when there is plenty, now and after it was needed."""
        self._is_kept = True
        with contextlib.suppress(OSError):
            if self._path.exists() or self._free() < PLENTY_BYTES:
                return
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, RESERVED_BYTES)
            finally:
                os.close(descriptor)

    def spend(self) -> None:
        """Give the space up when the disk is full."""
        with contextlib.suppress(OSError):
            if self._free() < NEEDED_BYTES:
                self._path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        """Let what happens meanwhile have it, where it is needed."""
        self.spend()
        yield
        if self._is_kept:
            self.fill()

    def _free(self) -> int:
        disk = os.statvfs(self._path.parent)
        return disk.f_bavail * disk.f_frsize
