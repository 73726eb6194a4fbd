"""What can be done with predictions: ask for one, see what it would ask, list, look at, cancel, resume, delete."""

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from anyio.to_thread import run_sync

from api import faults
from api.batches.line import Line, Waiting
from api.batches.values import Ask
from api.data_folder.cards import Cards
from api.data_folder.shelf import Shelf, now, readable
from api.errors import InvalidOption, NotFound, TooManyRequests, WrongState
from api.runtime.schemas import check_schema
from api.runtime.threads import in_thread_for_good
from api.tables.asked import prompt_of
from api.tables.databases import Database, Databases
from api.tables.kept import ERRORS, LOG, OUTPUT, log
from api.tables.predicting import Predicting, rows_of
from api.tables.prediction import RESUMABLE, Prediction, Source, from_card
from api.tables.refusals import DatabaseAway
from api.tables.selected import copy_select
from api.tables.shelf import ROWS, Tables, require_name
from api.tables.target import Target
from api.tables.types import PLACE
from finetune.job.files import link_or_copy, tail

SHOWN_PROMPTS = 3
MOST_A_KEY = 100
"""Predictions of a key that are on their way."""
LOG_BYTES = 2**20
MOST_TRIES = 30
"""Of one whose database is away or busy, some 10 seconds apart, while no row more is done; then it fails."""
TablesOf = Callable[[str], Tables]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a caller asks for: the rows, what each is asked, and where the answers go."""

    table: str | None
    database: str | None
    select: str | None
    input: str
    into: str
    result: str | None
    limit: int | None
    asked: Mapping[str, Any]
    """As `asked.request_for` takes it."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one is: rows that have a value and that have none, and in how long it may be at its end."""

    prediction: Prediction
    seconds_left: float | None = None


class PredictionRunner:
    """Which predictions, of all workspaces, are on their way. Belongs to one event loop."""

    def __init__(self, cards: Cards[Prediction], databases: Databases, rows_at_once: int) -> None:
        """`rows_at_once` are those of each prediction."""
        self.cards = cards
        self.databases = databases
        self.line = Line("prediction")
        self.running: dict[str, Predicting] = {}
        self._rows_at_once = rows_at_once
        self._away: dict[str, tuple[int, int]] = {}
        """Whose database did not do what it should: with so many rows done, so many times."""

    def start(self, tables_of: TablesOf, ask: Ask) -> None:
        """Bring them on, in tasks of the running loop; `tables_of` gives the tables of a workspace."""
        self.line.start(self._left, partial(self._bring, tables_of, ask))

    async def close(self) -> None:
        """Let them wait for the next start."""
        await self.line.close()

    async def _bring(self, tables_of: TablesOf, ask: Ask, id: str) -> str:
        owner = await self.cards.owner(id)
        name = (await self.cards.get(id)).source.database
        try:
            database = self.databases.find(name, owner) if name else None
        except NotFound as error:
            change = partial(_failed, error.detail)
            return (await self.cards.change(id, {"queued", "running"}, change)).status
        before, tries = self._away.pop(id, (0, 0))
        self.running[id] = running = Predicting(
            id, self.cards, tables_of(owner), database, ask, self._rows_at_once
        )
        try:
            return await running.to_end()
        except DatabaseAway as error:
            tries = tries + 1 if running.done == before else 1
            if tries > MOST_TRIES:
                return await running.failed(error.detail)
            self._away[id] = (running.done, tries)
            raise
        finally:
            del self.running[id]

    def _left(self) -> list[Waiting]:
        """What an earlier process left, the oldest first."""
        found = readable(self.cards.shelf.all(), from_card)
        return [waiting(one) for one in found if not one.is_over][::-1]


class Predictions:
    """The predictions of a workspace. Every method that takes an id raises `errors.NotFound`."""

    def __init__(
        self, shelf: Shelf, workspace: str, tables: Tables, runner: PredictionRunner, most_rows: int
    ) -> None:
        """`runner` is that of all workspaces; a SELECT gives at most `most_rows`."""
        self._shelf = shelf
        self._workspace = workspace
        self._tables = tables
        self._runner = runner
        self._most_rows = most_rows
        self._databases = runner.databases

    def start(self, tables_of: TablesOf, ask: Ask) -> None:
        """Bring those of all workspaces to their end."""
        self._runner.start(tables_of, ask)

    async def prompts(self, wanted: Wanted) -> list[str]:
        """What its first rows would be asked, as the model gets it; nothing is kept."""
        id = self._shelf.new_id()
        with self._shelf.growing(id) as folder:
            async with self._databases.copying():
                prediction, target = await self._begun(folder, wanted, id, "")
                return await self._databases.blocking(lambda: _first(folder, prediction, target))

    async def create(self, wanted: Wanted, key: str) -> Prediction:
        """Queue one, whose rows are asked in the name of that key. A table of ours is taken as it is now.

        Cancelling it ends the copying of rows; one that is placed is brought to its end.
        """
        if self._runner.line.length(key) >= MOST_A_KEY:
            raise TooManyRequests(
                f"{MOST_A_KEY} predictions of this key are on their way, and it may have no more.",
                retry_after_seconds=60,
            )
        id = self._shelf.new_id()
        with self._shelf.growing(id) as folder:
            async with self._databases.copying():
                prediction, _ = await self._begun(folder, wanted, id, key)
            await in_thread_for_good(lambda: self._place(folder, prediction))
        self._runner.line.add(waiting(prediction))
        return prediction

    async def get(self, id: str) -> Progress:
        """One prediction, with how far it is."""
        return self._progress(await self._read(id))

    async def page(self, after: str | None, limit: int) -> tuple[list[Progress], bool]:
        """At most `limit`, the newest first, behind the one of the id `after`; and whether there are more."""
        page, has_more = await run_sync(self._shelf.page, after, limit)
        return [self._progress(one) for one in readable(page, from_card)], has_more

    async def log(self, id: str) -> str:
        """What happened, a line each; of a long one the end."""
        folder = await run_sync(self._shelf.find, id)
        return await run_sync(_end_of, folder / LOG)

    async def cancel(self, id: str) -> Progress:
        """Ask no more of its rows; what was answered is kept. `errors.WrongState` when it is at its end."""
        await run_sync(self._shelf.find, id)
        prediction = await self._runner.cards.change(
            id, {"queued", "running"}, lambda one: one.at("cancelling")
        )
        if prediction.status not in ("cancelling", "cancelled"):
            raise WrongState(
                f"Prediction {id} is {prediction.status}: there is nothing to cancel.",
                state=prediction.status,
            )
        self._runner.line.cancel(id)
        if id in self._runner.running:
            self._runner.running[id].interrupt()
        return await self.get(id)

    async def resume(self, id: str) -> Progress:
        """Go on with the rows that were not asked. `errors.WrongState` unless it was cancelled or has failed."""
        before = await self._read(id)
        if before.status not in RESUMABLE or self._runner.line.has(id):
            raise WrongState(
                f"Prediction {id} is {before.status}: there is nothing to resume.",
                state=before.status,
            )
        prediction = await self._runner.cards.change(
            id, RESUMABLE, lambda one: one.at("queued", reason=None)
        )
        self._runner.line.add(waiting(prediction))
        return await self.get(id)

    async def delete(self, id: str) -> Prediction:
        """Forget one; what it wrote stays. `errors.WrongState` while it is on its way."""
        prediction = await self._read(id)
        if not prediction.is_over:
            raise WrongState(
                f"Prediction {id} is {prediction.status}: cancel it first.", state=prediction.status
            )
        await run_sync(self._shelf.remove, id)
        return prediction

    def unreadable(self) -> list[str]:
        """The ids of predictions, of all workspaces, whose cards cannot be read; blocking."""
        return self._shelf.unreadable(from_card)

    async def _read(self, id: str) -> Prediction:
        return from_card(id, await run_sync(self._shelf.card, id))

    def _progress(self, prediction: Prediction) -> Progress:
        running = self._runner.running.get(prediction.id)
        if prediction.is_over or running is None or running.kept is None:
            return Progress(prediction)
        completed, failed = running.kept.completed, running.kept.failed
        begun_at, before = running.begun
        since, total = completed + failed - before, prediction.total
        left = None
        if since > 0 and total is not None:
            left = (total - completed - failed) * (time.monotonic() - begun_at) / since
        return Progress(replace(prediction, completed=completed, failed=failed), left)

    def _place(self, folder: Path, prediction: Prediction) -> None:
        for name in (OUTPUT, ERRORS):
            (folder / name).touch()
        log(folder, "queued")
        self._shelf.place(folder, prediction.id, prediction.card())
        faults.point("predict_placed")

    async def _begun(
        self, folder: Path, wanted: Wanted, id: str, key: str
    ) -> tuple[Prediction, Target | None]:
        """With a copy of the table, which costs nothing where the disk knows links; checked as far as can be."""
        if (schema := wanted.asked["response_schema"]) is not None:
            check_schema(schema, "response_schema", "response_schema")
        source, target = await self._source(folder, wanted)
        columns = target.columns if target else [one.name for one in source.columns]
        prompt_of(wanted.input, columns)
        if target is None:
            _require_into(wanted.into, columns)
        return Prediction(
            id=id,
            status="queued",
            key=key,
            created_at=now(),
            source=source,
            input=wanted.input,
            into=wanted.into,
            wanted=wanted.asked,
            result=wanted.result or source.table,
            limit=wanted.limit,
        ), target

    async def _source(self, folder: Path, wanted: Wanted) -> tuple[Source, Target | None]:
        """Whose rows: a table's, those of a SELECT as they are now, or of a table of a database."""
        if wanted.database is None:
            return await self._databases.blocking(lambda: self._of_ours(folder, wanted)), None
        database = self._databases.find(wanted.database, self._workspace)
        if wanted.select is not None:
            if wanted.result is None:
                raise InvalidOption.at("result", "The rows of a SELECT come to a table: name it.")
            await self._databases.blocking(partial(self._require_result, wanted.result))
            rows = folder / ROWS
            contents = await copy_select(database, wanted.select, rows, self._most_rows)
            columns = tuple(contents.columns)
            return Source(wanted.result, columns=columns, selected_from=database.name), None
        _require_write(database)
        if wanted.result is not None:
            raise InvalidOption.at(
                "result", "The column of a database is filled in its place: leave it out."
            )
        table = wanted.table or ""
        target = await self._databases.blocking(lambda: Target(database, table, wanted.into))
        return Source(table, database=database.name), target

    def _of_ours(self, folder: Path, wanted: Wanted) -> Source:
        table = self._tables.find(wanted.table or "")
        link_or_copy(self._tables.path(table.id), folder / ROWS)
        if wanted.result is not None and wanted.result.lower() != table.key:
            self._require_result(wanted.result)
        return Source(table.name, table.id, table.columns)

    def _require_result(self, name: str) -> None:
        require_name(name, "result")
        self._tables.require_free(name, "result")


def _first(folder: Path, prediction: Prediction, target: Target | None) -> list[str]:
    """What the first rows are asked, of those that can be read."""
    prompt, rows = rows_of(prediction, folder, target)
    shown = itertools.islice(rows, SHOWN_PROMPTS)
    return [prompt.of(cells) for _, cells in shown if not isinstance(cells, str)]


def _failed(reason: str, prediction: Prediction) -> Prediction:
    return prediction.at("failed", reason=reason)


def waiting(prediction: Prediction) -> Waiting:
    """As it stands in the line."""
    return Waiting(prediction.id, prediction.key, is_cancelled=prediction.status == "cancelling")


def _require_write(database: Database) -> None:
    if not database.may_write:
        raise InvalidOption.at(
            "database",
            f"Database {database.name!r} is only read: an operator sets `write` in LLM_FASTAPI_DATABASES. Or send a "
            "`select`, and a `result`, which is a table of yours.",
        )


def _require_into(into: str, columns: list[str]) -> None:
    """A column that is there, or a name that a new one can have."""
    if PLACE in {one.lower() for one in (*columns, into)}:
        raise InvalidOption.at("into", f"No column may be called {PLACE!r}: rows are told by it.")
    if into not in columns and into.lower() in {one.lower() for one in columns}:
        raise InvalidOption.at(
            "into", f"The table has {into!r} in other letters. Columns: {columns}."
        )
    if not into.strip() or not into.isprintable() or into != into.strip():
        raise InvalidOption.at("into", "A column's name is one line without blanks around it.")


def _end_of(path: Path) -> str:
    size = path.stat().st_size
    text = tail(path, LOG_BYTES)
    return text if size <= LOG_BYTES else text.partition("\n")[2]
