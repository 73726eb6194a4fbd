"""Files under the SHA-256 of their content, as in Ollama's `models/blobs`."""

import hashlib
import os
import re
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from tests.ollama_double.wire import Failure

_DIGEST = re.compile(r"sha256[:-][0-9a-fA-F]{64}\Z")
_GRACE_SECONDS = 3600


class Blobs:
    """The folder of blobs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Where a blob lies or would lie; 400 for what is no digest."""
        if not _DIGEST.match(digest):
            raise Failure(400, "invalid digest format")
        return self.folder / digest.replace(":", "-")

    def incoming(self) -> "Incoming":
        """A blob whose content is still to come."""
        return Incoming(self)

    def put(self, content: bytes) -> tuple[str, bool]:
        """Store a small blob; its digest, and whether it is new."""
        with self.incoming() as incoming:
            incoming.write(content)
            return incoming.keep()

    def prune(self, used: Iterable[str]) -> None:
        """Remove what no manifest names, unless it came within the last hour."""
        kept = {digest.replace(":", "-") for digest in used}
        for path in self.folder.iterdir():
            if path.name not in kept and time.time() - path.stat().st_mtime > _GRACE_SECONDS:
                path.unlink()


class Incoming:
    """Content on its way into a blob; nothing of it is left unless it is kept."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._hash = hashlib.sha256()
        self._file: IO[bytes]

    def __enter__(self) -> "Incoming":
        self._file = tempfile.NamedTemporaryFile(
            dir=self._blobs.folder, prefix="partial-", delete=False
        )
        return self

    def write(self, content: bytes) -> None:
        """Add content."""
        self._hash.update(content)
        self._file.write(content)

    def keep(self) -> tuple[str, bool]:
        """Give it its name; its digest, and whether it is new."""
        self._file.close()
        digest = f"sha256:{self._hash.hexdigest()}"
        target = self._blobs.path(digest)
        is_new = not target.exists()
        if is_new:
            os.replace(self._file.name, target)
        else:
            os.utime(target)
        return digest, is_new

    def __exit__(self, *_: object) -> None:
        self._file.close()
        Path(self._file.name).unlink(missing_ok=True)
