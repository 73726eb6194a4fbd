"""Copies a file into the model registry: hashed on the way, on disk before it is called whole."""

import errno
import hashlib
import logging
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from api.errors import ApiError, BackEndFailed, OutOfSpace
from api.runtime.onnx.header import SUFFIX as ONNX

logger = logging.getLogger(__name__)
_STEP_BYTES = 32 * 2**20


class Incoming:
    """A model's file on its way in: `copy_part` until it says False, then `Registry.place`; `discard` in any case."""

    def __init__(self, source: Path, blobs: Path) -> None:
        self.digest = hashlib.sha256()
        self._suffix = source.suffix if source.suffix == ONNX else ".gguf"
        self.temporary = blobs / f"{uuid.uuid4().hex}.tmp"
        self._source = source.open("rb")
        self._target = self.temporary.open("xb")

    @property
    def blob(self) -> str:
        """The name of the weights in the registry, once the copy is whole."""
        return f"sha256-{self.digest.hexdigest()}{self._suffix}"

    def copy_part(self) -> bool:
        """Copy the next part; False when the copy is whole and on disk."""
        with storage_errors():
            part = self._source.read(_STEP_BYTES)
            self.digest.update(part)
            self._target.write(part)
            if part:
                return True
            self._target.flush()
            os.fsync(self._target.fileno())
        return False

    def discard(self) -> None:
        """Close both files and remove what was not placed."""
        self._source.close()
        try:
            self._target.close()  # a full disk can refuse the last buffer
        except OSError:
            logger.debug("the temporary file could not be flushed")
        self.temporary.unlink(missing_ok=True)


@contextmanager
def storage_errors() -> Iterator[None]:
    """Failures of the disk as errors of ours."""
    try:
        yield
    except OSError as error:
        raise _as_ours(error) from error


def _as_ours(error: OSError) -> ApiError:
    if OutOfSpace.is_behind(error) or error.errno == errno.EFBIG:
        return OutOfSpace(
            "The disk of the model registry is full. Free some space, then try again."
        )
    return BackEndFailed(f"The model registry cannot be written or read: {error.strerror}.")
