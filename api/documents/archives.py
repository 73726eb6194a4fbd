"""Several documents in one ZIP file: each entry comes out by itself, within bounds, and none becomes a path."""

import errno
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from api.documents.recognising import ZIP, kind_in_zip, open_entry
from api.errors import ApiError, TooLarge, UnsupportedMediaType, Unusable

PIECE_BYTES = 2**20
SPOOLED_BYTES = 2**20
"""What of an entry stays in memory; the rest goes to the disk."""
TIMES = 4
"""As many times the bytes of an upload may all files of a ZIP file have together."""
LEFT_BY_SYSTEMS = ("__MACOSX/",)
UTF8 = 0x800
ENCRYPTED = 0x1


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in a ZIP file: as its owner knows it, with the folders that it lies in."""

    name: str
    info: zipfile.ZipInfo


def is_archive(file: BinaryIO, name: str) -> bool:
    """Whether it is a ZIP file of other files: not a document that only is packed like one."""
    file.seek(0)
    return file.read(len(ZIP)) == ZIP and kind_in_zip(file, name) is None


class Archive:
    """A ZIP file of documents, open. `errors.TooLarge` when it holds more than may come at once: more than `most`
    files, or more than `TIMES` as many bytes as a file may have.
    """

    def __init__(self, file: BinaryIO, most: int, most_bytes: int) -> None:
        self._zip = zipfile.ZipFile(file)
        self._most_bytes = most_bytes
        self.entries = list(_entries(self._zip))
        if len(self.entries) > most:
            raise TooLarge(
                f"The ZIP file holds {len(self.entries)} files; {most} more can come by this request."
            )
        unpacked = sum(entry.info.file_size for entry in self.entries)
        if unpacked > most_bytes * TIMES:
            raise TooLarge(
                f"The files of the ZIP file have {unpacked} bytes; {most_bytes * TIMES} are allowed.",
                limit_bytes=most_bytes * TIMES,
            )

    def close(self) -> None:
        """Not the file itself."""
        self._zip.close()

    def open(self, entry: Entry) -> BinaryIO:
        """One entry, unpacked; whoever asked closes it. `errors.ApiError` for what cannot be."""
        info = entry.info
        if info.flag_bits & ENCRYPTED:
            raise Unusable("The file is locked in the ZIP file. Pack it without a password.")
        if info.file_size > self._most_bytes:
            raise TooLarge(
                f"The file may have {self._most_bytes} bytes.", limit_bytes=self._most_bytes
            )
        target = cast(BinaryIO, tempfile.SpooledTemporaryFile(SPOOLED_BYTES))  # noqa: SIM115  the caller closes it
        try:
            with open_entry(self._zip, info) as source:
                while piece := source.read(PIECE_BYTES):
                    target.write(piece)
            if is_archive(target, entry.name):
                raise UnsupportedMediaType("A ZIP file within a ZIP file is not opened.")
        except BaseException as error:
            target.close()
            if _is_ours(error):
                raise
            raise Unusable("The file is damaged in the ZIP file.") from error
        return target


def _is_ours(error: BaseException) -> bool:
    """Whether it says something else than that the ZIP file is damaged, which any other exception may."""
    if isinstance(error, OSError):
        return error.errno != errno.EINVAL  # a place before the beginning of the file
    return isinstance(error, ApiError | MemoryError) or not isinstance(error, Exception)


def _entries(archive: zipfile.ZipFile) -> Iterator[Entry]:
    """Without folders, and without what file managers leave beside the files of their users."""
    for info in archive.infolist():
        name = _name(info)
        if not info.is_dir() and not name.startswith(LEFT_BY_SYSTEMS) and not _is_hidden(name):
            yield Entry(name, info)


def _is_hidden(name: str) -> bool:
    bare = name.replace("\\", "/").rpartition("/")[2]
    return bare.startswith(".") or bare.lower() in {"thumbs.db", "desktop.ini"}


def _name(info: zipfile.ZipInfo) -> str:
    """As it was meant: many programs write UTF-8 and do not say so."""
    if info.flag_bits & UTF8:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename
