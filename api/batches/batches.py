"""What can be done with batches: make one, list them, look at one, cancel one."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from anyio.to_thread import run_sync

from api import faults
from api.batches.runner import BatchRunner, FilesOf
from api.batches.running import INPUT
from api.batches.values import WINDOW_TIME, Ask, Batch, Counts, Endpoint, from_card
from api.data_folder.shelf import Shelf, now, readable
from api.errors import InvalidOption, NotFound, TooManyRequests, WrongState
from api.files.files import Files
from finetune.job.files import link_or_copy

PURPOSE = "batch"
MOST_A_KEY = 100
"""Batches of a key that are on their way."""
RETRY_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a caller asks for; `files_kept_seconds` is how long the files of its answers are kept."""

    input_file: str
    endpoint: Endpoint
    metadata: Mapping[str, str] | None = None
    files_kept_seconds: int | None = None


class Batches:
    """The batches of a workspace. Every method that takes an id raises `errors.NotFound`."""

    def __init__(self, shelf: Shelf, files: Files, runner: BatchRunner) -> None:
        """`runner` is that of all workspaces."""
        self._shelf = shelf
        self._files = files
        self._runner = runner
        self._queueing = asyncio.Lock()

    def start(self, files_of: FilesOf, ask: Ask) -> None:
        """Bring those of all workspaces to their end; `files_of` gives the files of a workspace."""
        self._runner.start(files_of, ask)

    async def create(self, wanted: Wanted, key: str) -> Batch:
        """Queue one, whose rows are asked in the name of that key; the file is looked at when its turn comes."""
        file = await self._files.get(wanted.input_file)
        if file.purpose != PURPOSE:
            raise InvalidOption(
                f"File {file.id} was uploaded for {file.purpose!r}: upload it with the purpose {PURPOSE!r}.",
                where="input_file_id",
            )
        batch = Batch(
            id=self._shelf.new_id(),
            status="validating",
            endpoint=wanted.endpoint,
            input_file=file.id,
            key=key,
            created_at=now(),
            expires_at=(datetime.now(UTC) + WINDOW_TIME).isoformat(),
            metadata=wanted.metadata,
            files_kept_seconds=wanted.files_kept_seconds,
        )
        async with self._queueing:  # else those that come at once would all find room
            self._require_room(key)
            await run_sync(self._placed, batch)
            self._runner.add(batch)
        return batch

    def _require_room(self, key: str) -> None:
        if self._runner.length(key) >= MOST_A_KEY:
            raise TooManyRequests(
                f"{MOST_A_KEY} batches of this key are on their way, and it may have no more.",
                retry_after_seconds=RETRY_SECONDS,
            )

    def _placed(self, batch: Batch) -> None:
        with self._shelf.growing(batch.id) as folder:
            try:
                link_or_copy(self._files.path(batch.input_file), folder / INPUT)
            except FileNotFoundError:
                raise NotFound(f"No file {batch.input_file!r}.") from None
            self._shelf.place(folder, batch.id, batch.card())
        faults.point("batch_placed")

    def figures(self) -> tuple[int, int]:
        """How many of all workspaces run and how many wait."""
        return self._runner.figures()

    def unreadable(self) -> list[str]:
        """The ids of batches, of all workspaces, whose cards cannot be read; blocking."""
        return self._shelf.unreadable(from_card)

    async def get(self, id: str) -> Batch:
        """One batch, with how far it is."""
        await run_sync(self._shelf.find, id)
        completed, failed = await self._runner.answered(id)
        batch = await self._runner.cards.get(id)  # the later of both: an ended one tells it itself
        if batch.is_over:
            return batch
        return replace(batch, counts=Counts(batch.counts.total, completed, failed))

    async def page(self, after: str | None, limit: int) -> tuple[list[Batch], bool]:
        """At most `limit`, the newest first, behind the one of the id `after`; and whether there are more."""
        page, has_more = await run_sync(self._shelf.page, after, limit)
        found = readable(page, from_card)
        return [one if one.is_over else await self.get(one.id) for one in found], has_more

    async def cancel(self, id: str) -> Batch:
        """Ask no more of its rows; what was answered is kept. `errors.WrongState` when it is at its end."""
        await run_sync(self._shelf.find, id)
        batch = await self._runner.cards.change(
            id, {"validating", "in_progress"}, lambda one: one.at("cancelling")
        )
        if batch.status not in ("cancelling", "cancelled"):
            raise WrongState(
                f"Batch {id} is {batch.status}: there is nothing to cancel.", state=batch.status
            )
        self._runner.interrupt(id)
        return await self.get(id)
