"""The data folder: made, locked for one process, and swept of what a dead one has left half done."""

import fcntl
import os
import shutil
from pathlib import Path

from api.errors import CannotStart


class DataFolder:
    """Held by one process: two servers on one folder of embedded Chroma and tantivy damage it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CannotStart(
                f"The data folder {path} cannot be written ({error.strerror}). "
                "Set LLM_FASTAPI_DATA_DIR to a folder that can."
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise CannotStart(
                f"Another server or doctor works on the data folder {path}. "
                "Stop it, or set LLM_FASTAPI_DATA_DIR to another folder."
            ) from error

    def sweep(self, *folders: Path) -> None:
        """Empty folders of files that were being received or made."""
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)

    def release(self) -> None:
        """Let others in."""
        os.close(self._lock)
