"""Files that no crash tears or loses, read and written by api and pipeline alike.

Standard library only.
"""

import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any


def write_atomically(path: Path, text: str) -> None:
    """Write a whole file or nothing: a crash leaves the old one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def read_json(path: Path) -> Any:
    """The parsed file, or None when it is missing or cut."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def tail(path: Path, most_bytes: int) -> str:
    """The end of a file of text; nothing of one that cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - most_bytes))
            return file.read(most_bytes).decode(errors="replace")
    except OSError:
        return ""


def link_or_copy(source: Path, target: Path) -> None:
    """A second name for a file where the disk allows it, else a second file."""
    try:
        os.link(source.resolve(), target)  # the hub's own cache holds symbolic links
    except OSError:
        shutil.copyfile(source, target)


def sync_file(path: Path) -> None:
    """Make the bytes of a file last."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make renames and removals in a folder last."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_files(folder: Path) -> None:
    """Make the files of a folder last, before a rename gives it its name."""
    for path in folder.iterdir():
        sync_file(path)
    sync_folder(folder)
