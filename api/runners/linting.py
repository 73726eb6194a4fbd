"""Has the linter look at datasets, in a child process where it takes long, and refuses what it finds errors in."""

import asyncio
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio
import anyio.to_thread

from api import child_process
from api.errors import BackEndFailed, DatasetUnusable
from finetune.data.rows import Fold, read_rows
from finetune.job.spec import parse_spec
from finetune.lint.linter import Linter
from finetune.lint.reading import why_not
from finetune.lint.report import Report

logger = logging.getLogger(__name__)

SECONDS = 900.0
FEW_BYTES = 2**20
"""Of files that nobody reads as tokens: below it a child would take longer to start than to look."""
TOKEN_ROWS = 20_000
"""Rows of each part that are looked at as tokens while a caller waits; a job looks at all."""


async def lint(
    rows: Mapping[Fold, Path], *, base: Path | None = None, spec: Path | None = None
) -> Report:
    """What is to be said of files of rows, as the base in this folder reads them; without one of their texts alone.

    `spec` is the `spec.json` of the run that they are for.
    """
    reason = await anyio.to_thread.run_sync(why_not, base)
    if reason and sum(path.stat().st_size for path in rows.values()) < FEW_BYTES:
        return await anyio.to_thread.run_sync(_of_texts, rows, reason, spec)
    options = {"base": base, "spec": spec, "token-rows": TOKEN_ROWS}
    given = [*rows.items(), *options.items()]
    return await _in_child([f"--{name}={value}" for name, value in given if value is not None])


def _of_texts(rows: Mapping[Fold, Path], reason: str, spec: Path | None) -> Report:
    """Of a few rows, which is done before a child has started."""
    linter = Linter()
    for fold, path in rows.items():
        linter.look(fold, read_rows(path))
    report = linter.report(parse_spec(spec.read_bytes()).accepted if spec else ())
    report.not_read = reason
    return report


async def _in_child(arguments: Sequence[str]) -> Report:
    child = await child_process.start(
        [sys.executable, "-m", "finetune.lint", *arguments],
        env=child_process.environment(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(SECONDS):
            answer, said = await child.communicate()
    except TimeoutError:
        raise BackEndFailed(
            f"The linter took longer than {SECONDS:.0f} s. Split the file."
        ) from None
    finally:
        if child.returncode is None:
            child.kill()
            with anyio.CancelScope(shield=True):
                await child.wait()
    if child.returncode != 0:
        logger.error(
            "The linter ended with %s: %s", child.returncode, said.decode(errors="replace")
        )
        raise BackEndFailed("The linter broke off; the server's log says why.")
    return Report.model_validate_json(answer)


def refuse(report: Report, fields: Mapping[Fold, str]) -> None:
    """`errors.DatasetUnusable` with row and reason, when there are errors; `fields` are the parameters of each part."""
    if not report.errors:
        return
    first = report.errors[0]
    raise DatasetUnusable(
        f"{first.event()['detail']} (code {first.code})",
        where=fields[first.fold],
        errors=[
            {"row": row, "code": finding.code, "reason": finding.detail, "expected": finding.remedy}
            for finding in report.errors
            for row in finding.rows
        ],
        count=sum(finding.count for finding in report.errors),
    )
