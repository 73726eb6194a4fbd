"""One batch on its way to its end: its rows are asked several at a time, and what they come to is kept line by line.

Whatever ends it before, another one goes on from its directory: no row is written twice, none is lost.
"""

import contextlib
import functools
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from anyio.to_thread import run_sync

from api import faults
from api.batches import rows
from api.batches.asking import Asking
from api.batches.outcomes import ERRORS, OUTPUT, Outcomes, Part
from api.batches.values import Answer, Ask, Batch, Counts, Fault, Row, Status, fault_of
from api.data_folder.cards import Cards
from api.errors import NotFound
from api.files.files import Files
from finetune.job.files import link_or_copy

LOGGER = logging.getLogger("api.batches")
INPUT = "input.jsonl"
UNFINISHED: frozenset[Status] = frozenset({"validating", "in_progress", "finalizing", "cancelling"})
ENDS: dict[Status, Status] = {"finalizing": "completed", "cancelling": "cancelled"}
"""What a batch of that status ends as, whatever came of its rows."""
EXPIRED = "This request could not be executed before the completion window expired."


class Running:
    """A batch that is brought to its end."""

    def __init__(
        self, id: str, cards: Cards[Batch], files: Files, ask: Ask, rows_at_once: int
    ) -> None:
        """`files` are those of its workspace."""
        self._id = id
        self._cards = cards
        self._files = files
        self._ask = ask
        self._asking = Asking(rows_at_once)
        self._fault: Fault | None = None
        self.outcomes: Outcomes | None = None

    def interrupt(self) -> None:
        """Ask no more rows: the batch is cancelled."""
        self._asking.interrupt()

    async def to_end(self) -> Batch:
        """From wherever it stands; the batch as it ended."""
        batch = await self._cards.get(self._id)
        folder = await run_sync(self._cards.folder, self._id)
        if batch.status == "validating":
            batch = await self._validated(batch, folder)
        if not batch.is_over:
            self.outcomes = await run_sync(Outcomes, folder)
            with contextlib.closing(self.outcomes):
                end = (
                    await self._asked(batch, folder) if batch.status == "in_progress" else "failed"
                )
            batch = await self._ended(self.outcomes, end)
        await run_sync(discard, folder)
        return batch

    async def _validated(self, batch: Batch, folder: Path) -> Batch:
        try:
            path = await run_sync(self._input, batch, folder)
            total, found = await run_sync(rows.check, path, batch.endpoint)
        except NotFound as error:
            total, found = 0, (Fault("input_file_missing", error.detail, "input_file_id"),)

        def to(batch: Batch) -> Batch:
            if found:
                return batch.at("failed", faults=found)
            return batch.at("in_progress", counts=Counts(total))

        batch = await self._cards.change(self._id, {"validating"}, to)
        faults.point("batch_checked")
        return batch

    def _input(self, batch: Batch, folder: Path) -> Path:
        """Its rows; a copy of the data folder that was made just when it ended has lost its own file of them."""
        path = folder / INPUT
        if not path.is_file():
            link_or_copy(self._files.path(batch.input_file), path)
        return path

    async def _asked(self, batch: Batch, folder: Path) -> Status:
        """Ask what was not asked yet; how the batch ends where its card does not say it by now."""
        assert self.outcomes  # noqa: S101  opened by `to_end`
        try:
            path = await run_sync(self._input, batch, folder)
        except NotFound as error:
            self._fault = Fault("input_file_missing", error.detail, "input_file_id")
            return "failed"
        ask = functools.partial(self._ask, batch.key, batch.endpoint)
        with contextlib.closing(rows.read(path, batch.endpoint, self.outcomes.done)) as left:
            is_whole = await self._asking.all(left, ask, self._keep, seconds=batch.seconds_left)
        if self._asking.stopped:
            self._fault = fault_of(self._asking.stopped)
            return "failed"
        if is_whole:
            await self._cards.change(self._id, {"in_progress"}, lambda one: one.at("finalizing"))
        elif batch.seconds_left <= 0:
            await run_sync(self._give_up, rows.read(path, batch.endpoint, self.outcomes.done))
        return "expired"

    async def _keep(self, row: Row, answer: Answer) -> None:
        assert self.outcomes  # noqa: S101  opened by `to_end`
        await run_sync(self.outcomes.add, row, answer)
        faults.point("batch_row_written")

    def _give_up(self, left: Iterator[Row]) -> None:
        assert self.outcomes  # noqa: S101  opened by `to_end`
        for row in left:
            self.outcomes.give_up(row, "batch_expired", EXPIRED)

    async def _ended(self, outcomes: Outcomes, otherwise: Status) -> Batch:
        """Make the files of its answers, and then tell that it has ended."""

        def with_files(
            batch: Batch,
        ) -> Batch:  # chosen before they are made, so that each is made once
            output = batch.output_file or (self._files.new_id() if outcomes.completed else None)
            errors = batch.error_file or (self._files.new_id() if outcomes.failed else None)
            return replace(batch, output_file=output, error_file=errors)

        batch = await self._cards.change(self._id, UNFINISHED, with_files)
        faults.point("batch_files_named")
        await self._make(batch, batch.output_file, OUTPUT, outcomes.output)
        await self._make(batch, batch.error_file, ERRORS, outcomes.errors)
        counts = Counts(batch.counts.total, outcomes.completed, outcomes.failed)

        def to(batch: Batch) -> Batch:
            status = ENDS.get(batch.status, otherwise)
            why = (self._fault,) if self._fault and status == "failed" else ()
            return batch.at(status, counts=counts, faults=why)

        batch = await self._cards.change(self._id, UNFINISHED, to)
        faults.point("batch_ended")
        return batch

    async def _make(self, batch: Batch, id: str | None, name: str, part: Part) -> None:
        if id is None:
            return
        try:
            await self._files.get(id)
        except NotFound:
            with part.path.open("rb") as lines:
                await self._files.write(
                    "batch_output",
                    f"{batch.id}_{name}",
                    lines,
                    id=id,
                    expires_after_seconds=batch.files_kept_seconds,
                )
            faults.point("batch_file_made")


def discard(folder: Path) -> None:
    """Remove what an ended batch needs no more; blocking."""
    for name in (INPUT, OUTPUT, ERRORS):
        (folder / name).unlink(missing_ok=True)
