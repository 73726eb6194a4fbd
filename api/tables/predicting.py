"""One prediction on its way to its end: its rows are asked several at a time, and what comes of each is kept as a line.

Whatever ends it before, another one goes on from its directory: no row that was kept is asked again, and none is lost.
"""

import contextlib
import functools
import json
import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from anyio.to_thread import run_sync

from api import faults
from api.batches.asking import Asking
from api.batches.values import Answer, Ask, Row
from api.data_folder.cards import Cards
from api.errors import BackEndFailed, NotFound, Unusable
from api.tables.asked import Prompt, prompt_of, request_for, type_of, value_of
from api.tables.databases import Database
from api.tables.kept import OUTPUT, Kept
from api.tables.prediction import Prediction, Status
from api.tables.refusals import DatabaseAway
from api.tables.rows import Cells, count_rows, join_outcomes, read_rows
from api.tables.shelf import ROWS, Column, Table, Tables
from api.tables.target import Target
from api.tables.types import Type, fits

ENDPOINT = "/v1/chat/completions"
STOPPED = frozenset({401, 403, 404})
"""Answers that every other row would get too: of the key, or because the model is gone."""
FAILS = (NotFound, Unusable, BackEndFailed)
"""Of its table, which is gone, is another one, or cannot be read; whatever else breaks it off is tried again."""
SECONDS_A_WRITE = 1.0
SECONDS_AFTER_AWAY = 10.0
"""Until a database is written again that was away or busy."""
UNASKED = b"not asked: "
"""What stands before the reason, in the place of a request, where a row is not asked."""


class Predicting:
    """A prediction that is brought to its end."""

    def __init__(
        self,
        id: str,
        cards: Cards[Prediction],
        tables: Tables,
        database: Database | None,
        ask: Ask,
        rows_at_once: int,
    ) -> None:
        """`tables` are those of its workspace, `database` the one whose column is filled."""
        self._id = id
        self._cards = cards
        self._tables = tables
        self._database = database
        self._ask = ask
        self._asking = Asking(rows_at_once, STOPPED)
        self._target: Target | None = None
        self._type: Type = "text"
        self._writes_at = 0.0
        self.kept: Kept | None = None
        self.begun: tuple[float, int] = (time.monotonic(), 0)
        """When it went on, and how many rows were done then."""

    def interrupt(self) -> None:
        """Ask no more rows: the prediction is cancelled."""
        self._asking.interrupt()

    @property
    def done(self) -> int:
        """Rows that were answered or refused, in all."""
        return self.kept.completed + self.kept.failed if self.kept else 0

    async def to_end(self) -> str:
        """From wherever it stands; what it ended as. `DatabaseAway` where it is to be tried again."""
        prediction = await self._cards.change(self._id, {"queued"}, lambda one: one.at("running"))
        if prediction.status == "cancelling":
            return (await self._ended("cancelled")).status
        folder = await run_sync(self._cards.folder, self._id)
        self.kept = await run_sync(Kept, folder)
        try:
            with contextlib.closing(self.kept):
                ended = await self._whole(prediction, folder)
                self.kept.log(
                    f"{ended.status}: {ended.completed} rows have a value, {ended.failed} have none."
                )
        except Exception as error:
            fact: BaseException = error
            while isinstance(fact, ExceptionGroup):  # of the rows that are asked at once
                fact = fact.exceptions[0]
            if isinstance(fact, DatabaseAway):
                self.kept.log(f"waits: {fact.detail}")
                raise fact from None
            if not isinstance(fact, FAILS):
                raise
            return await self.failed(fact.detail)
        return ended.status

    async def failed(self, reason: str) -> str:
        """End it so; it can be resumed."""
        if self.kept:
            self.kept.log(f"failed: {reason}")
        return (await self._ended("failed", reason=reason)).status

    async def _whole(self, prediction: Prediction, folder: Path) -> Prediction:
        assert self.kept  # noqa: S101  opened by `to_end`
        if self._database:
            self._target = await run_sync(
                Target, self._database, prediction.source.table, prediction.into
            )
            await run_sync(self.kept.apply, self._target.write)
        else:
            self._type = into_of(prediction).type
        prediction = await self._counted(prediction, folder)
        self.begun = (time.monotonic(), len(self.kept.done))
        with contextlib.closing(self._left(prediction, folder)) as left:
            is_whole = await self._asking.all(
                left, functools.partial(self._asked, prediction), self._keeping(prediction)
            )
        if self._target:
            await run_sync(self.kept.apply, self._target.write)
        if self._asking.stopped:
            return await self._ended("failed", reason=_message(self._asking.stopped))
        if not is_whole:
            return await self._ended("cancelled")
        if self._target is None:
            prediction = await self._placed(prediction, folder)
        return await self._ended("succeeded", result=prediction.result, notice=prediction.notice)

    async def _counted(self, prediction: Prediction, folder: Path) -> Prediction:
        """With how many rows it asks."""
        if prediction.total is not None:
            return prediction
        if self._target:
            count = await run_sync(self._target.count)
        else:
            count = await run_sync(lambda: count_rows(folder / ROWS, empty=empty(prediction)))
        total = count if prediction.limit is None else min(count, prediction.limit)
        return await self._cards.change(
            self._id, {"running", "cancelling"}, lambda one: replace(one, total=total)
        )

    def _left(self, prediction: Prediction, folder: Path) -> Generator[Row, None, None]:
        """The requests of the rows that are not done."""
        assert self.kept  # noqa: S101  opened by `to_end`
        total, done = prediction.total or 0, set(self.kept.done)
        left = total - len(done)
        prompt, rows = rows_of(prediction, folder, self._target)
        for key, cells in rows:
            if left <= 0:
                return
            if key not in done:
                left -= 1
                if isinstance(cells, str):
                    yield Row(key, UNASKED + cells.encode())
                elif (text := prompt.of(cells)).strip():
                    yield Row(key, request_for(text, prediction.wanted))
                else:
                    yield Row(key, UNASKED + b"The input is empty.")

    async def _asked(self, prediction: Prediction, body: bytes) -> Answer:
        if body.startswith(UNASKED):
            why = body.removeprefix(UNASKED).decode()
            return Answer(422, "", json.dumps({"error": {"message": why}}).encode())
        return await self._ask(prediction.key, ENDPOINT, body)

    def _keeping(self, prediction: Prediction) -> Any:
        return functools.partial(self._keep, prediction.wanted["response_schema"])

    async def _keep(self, schema: dict[str, Any] | None, row: Row, answer: Answer) -> None:
        await run_sync(self._kept, schema, row, answer)

    def _kept(self, schema: dict[str, Any] | None, row: Row, answer: Answer) -> None:
        assert self.kept  # noqa: S101  opened by `to_end`
        value: str | None = None
        why: str | None = None
        if answer.is_refused:
            why = _message(answer)
        else:
            value, why = value_of(answer.body, schema)
        if value is not None and not (self._target or fits(value, self._type)):
            why = f"{value[:40]!r} is no {self._type}."
            value = None
        if value is None:
            self.kept.refuse(row.custom_id, why or "")
        else:
            self.kept.add(row.custom_id, value)
        if self._target and time.monotonic() >= self._writes_at:
            pause = SECONDS_A_WRITE
            try:
                self.kept.apply(self._target.write)
            except (
                DatabaseAway
            ) as error:  # what is kept is written later, at last when all are asked
                self.kept.log(f"waits: {error.detail}")
                pause = SECONDS_AFTER_AWAY
            self._writes_at = time.monotonic() + pause

    async def _placed(self, prediction: Prediction, folder: Path) -> Prediction:
        """With the table that the rows come to: once, whenever the process dies."""
        if made := await run_sync(self._made_before):
            return replace(prediction, result=made.name)
        source = prediction.source
        into = into_of(prediction)
        fill = functools.partial(
            join_outcomes, folder / ROWS, source.columns, into, folder / OUTPUT
        )
        told = {"kind": "prediction", "prediction": self._id, "table": source.table}
        told |= {"model": prediction.wanted["model"]}
        name, notice = await self._free_name(prediction)
        replaces = name == source.table
        made = await self._tables.add(name, told, fill, replaces=replaces)
        return replace(prediction, result=made.name, notice=notice)

    async def _free_name(self, prediction: Prediction) -> tuple[str, str | None]:
        """Where the rows go: another name where the wanted one is another table's by now."""
        with contextlib.suppress(NotFound):
            there = await self._tables.get(prediction.result)
            if there.id != prediction.source.table_id:
                name = f"{prediction.result[:46]}_{self._id[-16:]}"
                return (
                    name,
                    f"Table {there.name!r} is another one by now: the rows are in {name!r}.",
                )
        return prediction.result, None

    def _made_before(self) -> Table | None:
        for one in self._tables.all():
            if one.made_from.get("prediction") == self._id:
                return one
        return None

    async def _ended(self, status: Status, **changes: Any) -> Prediction:
        if self.kept:
            changes |= {"completed": self.kept.completed, "failed": self.kept.failed}

        def to(one: Prediction) -> Prediction:
            was_cancelled = one.status == "cancelling" and status == "failed"
            return one.at("cancelled" if was_cancelled else status, **changes)

        ended = await self._cards.change(self._id, {"running", "cancelling"}, to)
        faults.point("predict_ended")
        return ended


def into_of(prediction: Prediction) -> Column:
    """The column of a table of ours that is filled: one that is there, or a new one."""
    has = next((one for one in prediction.source.columns if one.name == prediction.into), None)
    return has or Column(prediction.into, type_of(prediction.wanted["response_schema"]))


def empty(prediction: Prediction) -> str | None:
    """The column that must be NULL, of a table that has it already."""
    has = any(one.name == prediction.into for one in prediction.source.columns)
    return prediction.into if has else None


def rows_of(
    prediction: Prediction, folder: Path, target: Target | None
) -> tuple[Prompt, Iterator[tuple[str, Cells | str]]]:
    """How its rows are asked, and those whose column is empty; of one that cannot be read the reason. Blocking."""
    if target:
        prompt = prompt_of(prediction.input, target.columns)
        return prompt, target.rows(prompt.columns)
    prompt = prompt_of(prediction.input, [one.name for one in prediction.source.columns])
    found = read_rows(folder / ROWS, prompt.columns, empty=empty(prediction))
    return prompt, ((str(place), cells) for place, cells in found)


def _message(answer: Answer) -> str:
    return str(json.loads(answer.body)["error"]["message"])
