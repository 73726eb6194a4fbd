"""An uploaded file becomes the Parquet file of a table: read to its end in a process of its own, or refused."""

import contextlib
import importlib.util
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from api import child_process
from api.data_folder.copying import pieces_of, write_hashed
from api.datasets.receiving import Upload
from api.errors import BackEndFailed, NotOpened, UnsupportedMediaType
from api.runtime.threads import in_thread
from api.tables.refusals import TableUnusable, missing
from api.tables.shelf import Column, Contents

LOGGER = logging.getLogger(__name__)
SECONDS = 600.0
COMMAND = (sys.executable, "-P", "-s", "-m", "api.tables.reading_child")
LIMITS = child_process.Limits(
    memory_bytes=6 * 2**30, cpu_seconds=600, most_cpu_seconds=600, file_bytes=16 * 2**30
)
FIELD = "file"


def read_upload(
    upload: Upload, target: Path, types: Mapping[str, str], sheet: str | None, most_rows: int
) -> Contents:
    """Copy it beside the target, and write what it holds there. Blocking.

    `TableUnusable` with rows, columns and reasons; `errors.UnsupportedMediaType` for what is no table.
    """
    require_installed()
    source = target.with_name("source")
    with source.open("wb") as file:
        sha256, size_bytes = write_hashed(pieces_of(upload.file), file)
    asked = {"types": types, "sheet": sheet, "most_rows": most_rows}
    contents = read_file(source, target, **asked)
    return contents.told(sha256=sha256, file_size_bytes=size_bytes)


def read_file(source: Path, target: Path, **asked: Any) -> Contents:
    """The same of a file that is there, which goes."""
    with _in_time():
        ended = child_process.run(COMMAND, **_child(source, target, asked))
    return _contents(source, target, ended)


async def read_file_for(source: Path, target: Path, **asked: Any) -> Contents:
    """The same for somebody who may go away: cancelling it ends the process."""
    with _in_time():
        ended = await child_process.finished(COMMAND, **_child(source, target, asked))
    return await in_thread(_contents, source, target, ended)


def _child(source: Path, target: Path, asked: Mapping[str, Any]) -> dict[str, Any]:
    request = {"source": str(source), "target": str(target), **asked}
    told = {"env": child_process.NOTHING, "limits": LIMITS, "seconds": SECONDS}
    return {**told, "input": json.dumps(request).encode()}


@contextlib.contextmanager
def _in_time() -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise TableUnusable(
            f"Reading the file takes longer than {SECONDS:.0f} s. Split it."
        ) from None


def _contents(source: Path, target: Path, ended: CompletedProcess[bytes]) -> Contents:
    answer = _answer(ended)
    for path in source.parent.iterdir():
        if path != target:
            path.rmdir() if path.is_dir() else path.unlink()
    if "errno" in answer:
        raise OSError(answer["errno"], os.strerror(answer["errno"]))
    if "refused" in answer:
        raise _refusal(answer)
    columns = [Column(**one) for one in answer["columns"]]
    return Contents(columns, answer["rows"], answer["first_rows"], {"format": answer["format"]})


def require_installed() -> None:
    """`errors.NotOpened` where DuckDB is not installed."""
    if importlib.util.find_spec("duckdb") is None:
        raise NotOpened(missing("Tables need"))


def _answer(ended: CompletedProcess[bytes]) -> dict[str, Any]:
    if ended.returncode or not ended.stdout:
        LOGGER.error(
            "Reading a table ended with %s: %s",
            ended.returncode,
            ended.stderr[-4000:].decode(errors="replace"),
        )
        raise BackEndFailed(
            "The process that reads tables broke off: the file needs more memory or time than it may have. Split it."
        )
    answer: dict[str, Any] = json.loads(ended.stdout)
    return answer


def _refusal(answer: Mapping[str, Any]) -> Exception:
    kind, detail = answer["refused"], answer["detail"]
    if kind in ("no_dataset", "no_reader"):
        return UnsupportedMediaType(detail, where=FIELD)
    return TableUnusable(
        detail, where=answer["where"], errors=answer["errors"], count=answer["count"]
    )
