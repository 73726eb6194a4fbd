"""The data folder: made, locked for one process, and swept of what a dead one has left half done."""

import os
import shutil
from pathlib import Path

from api.errors import CannotStart
from finetune.job.locks import take


class DataFolder:
    """Held by one process: two servers on one folder of embedded Chroma and tantivy damage it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            lock = take(path / "lock")
        except OSError as error:
            raise CannotStart(
                f"The data folder {path} cannot be written ({error.strerror}). "
                "Set LLM_FASTAPI_DATA_DIR to a folder that can."
            ) from error
        if lock is None:
            raise CannotStart(
                f"Another server or doctor works on the data folder {path}. "
                "Stop it, or set LLM_FASTAPI_DATA_DIR to another folder."
            )
        self._lock = lock

    def sweep(self, *folders: Path) -> None:
        """Empty folders of files that were being received or made."""
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)

    def release(self) -> None:
        """Let others in."""
        os.close(self._lock)
