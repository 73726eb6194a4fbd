"""One batch on its way to its end: its rows are asked several at a time, and what they come to is kept line by line.

Whatever ends it before, another one goes on from its directory: no row is written twice, none is lost.
"""

import contextlib
import itertools
import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import anyio
from anyio.to_thread import run_sync

from api import faults
from api.batches import rows
from api.batches.cards import Cards
from api.batches.outcomes import ERRORS, OUTPUT, Outcomes, Part
from api.batches.values import Answer, Ask, Batch, Counts, Fault, Row, Status, fault_of
from api.errors import NotFound
from api.files.files import Files
from finetune.job.locks import link_or_copy

LOGGER = logging.getLogger("api.batches")
INPUT = "input.jsonl"
UNFINISHED: frozenset[Status] = frozenset({"validating", "in_progress", "finalizing", "cancelling"})
ENDS: dict[Status, Status] = {"finalizing": "completed", "cancelling": "cancelled"}
"""What a batch of that status ends as, whatever came of its rows."""
STOPPED = frozenset({401, 403})
"""Answers that every other row would get too: the key does not open any more, or may not ask any more."""
UNAVAILABLE = 503
AGAIN = frozenset({429, UNAVAILABLE})
"""Answers that are others later."""
RETRY_SECONDS = 5.0
MOST_RETRY_SECONDS = 60.0
MOST_ASIDE = 20
"""Rows of a batch that let others go before; beyond, nothing is answered, it seems, and each waits in its place."""
EXPIRED = "This request could not be executed before the completion window expired."


class Running:
    """A batch that is brought to its end."""

    def __init__(self, id: str, cards: Cards, files: Files, ask: Ask, rows_at_once: int) -> None:
        """`files` are those of its workspace."""
        self._id = id
        self._cards = cards
        self._files = files
        self._ask = ask
        self._rows_at_once = rows_at_once
        self._scope = anyio.CancelScope()
        self._reading, self._writing = anyio.Lock(), anyio.Lock()
        self._aside: deque[tuple[float, Row, int]] = deque()
        """Rows that are asked again when no other is left: from when on, and how often they were asked."""
        self._fault: Fault | None = None
        self.outcomes: Outcomes | None = None

    def interrupt(self) -> None:
        """Ask no more rows: the batch is cancelled."""
        self._scope.cancel()

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
        self._scope.deadline = anyio.current_time() + batch.seconds_left
        with (
            self._scope,
            contextlib.closing(rows.read(path, batch.endpoint, self.outcomes.done)) as left,
        ):
            async with anyio.create_task_group() as group:
                for _ in range(self._rows_at_once):
                    group.start_soon(self._work, batch, left)
        if self._fault:
            return "failed"
        if not self._scope.cancelled_caught:
            await self._cards.change(self._id, {"in_progress"}, lambda one: one.at("finalizing"))
        elif batch.seconds_left <= 0:
            await run_sync(self._give_up, rows.read(path, batch.endpoint, self.outcomes.done))
        return "expired"

    async def _work(self, batch: Batch, left: Iterator[Row]) -> None:
        """Ask one row after the other, beside others who do the same."""
        assert self.outcomes  # noqa: S101  opened by `to_end`
        while turn := await self._next(left):
            row, tries = turn
            answer = await self._answered(batch, row, tries)
            if answer is None:
                continue
            if answer.status in STOPPED:
                self._fault = fault_of(answer)
                self._scope.cancel()
                return
            async with self._writing:
                await run_sync(self.outcomes.add, row, answer)
            faults.point("batch_row_written")

    async def _next(self, left: Iterator[Row]) -> tuple[Row, int] | None:
        """A row, and how often it was asked in vain: of those that were put aside when no other is left."""
        async with self._reading:
            row: Row | None = await run_sync(next, left, None)
        if row is not None:
            return row, 0
        if not self._aside:
            return None
        at, row, tries = self._aside.popleft()
        await anyio.sleep_until(at)
        return row, tries

    async def _answered(self, batch: Batch, row: Row, tries: int) -> Answer | None:
        """The answer; what is refused for now is asked again. None where it was put aside until others are asked, for
        one that cannot be answered for long would hold their place.
        """
        for tried in itertools.count(tries + 1):
            answer = await self._ask(batch.key, batch.endpoint, row.body)
            if answer.status not in AGAIN:
                break
            later = answer.retry_after_seconds
            later = RETRY_SECONDS if later is None else later
            if answer.status == UNAVAILABLE:  # nobody knows when, where 429 does
                later *= tried
            later = min(later, MOST_RETRY_SECONDS)
            if answer.status == UNAVAILABLE and len(self._aside) < MOST_ASIDE:
                self._aside.append((anyio.current_time() + later, row, tried))
                return None
            await anyio.sleep(later)
        return answer

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
