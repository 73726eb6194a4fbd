"""The evaluations of a workspace: begun, looked at, called off, deleted; one at a time of all is brought to its end.

Each is a directory that describes itself. Those that were on their way when a process ended go on at the next start,
with the question that was next.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio.to_thread

from api.data_folder.shelf import Shelf, now, readable
from api.datasets.receiving import Upload
from api.errors import ApiError, InvalidOption, WrongState
from api.evaluation.answering import Answering
from api.evaluation.questions import Source
from api.evaluation.record import Record, progress
from api.evaluation.values import Evaluation, Progress, Status
from api.names import model_key
from api.rag import Answers
from api.runtime import ModelInfo
from api.runtime.fair import ASKING, Asking
from api.runtime.threads import in_thread
from api.store import Store
from finetune.judging.metrics import Metric, NotAPattern, require_pattern

LOGGER = logging.getLogger("api.evaluation")
AGAIN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a caller asks for."""

    model: str
    base: str | None
    documents: tuple[str, ...]
    collection: str
    metric: Metric
    metric_pattern: str | None
    limit: int
    max_tokens: int | None


@dataclass(frozen=True, slots=True)
class Found:
    """One evaluation with how far it is and what it found."""

    evaluation: Evaluation
    progress: Progress
    result: dict[str, Any] | None


class AtWork:
    """Which evaluation is at work; all workspaces share it."""

    def __init__(self) -> None:
        # a wish to cancel never falls between choosing and starting
        self.changing = asyncio.Lock()
        self.running: tuple[str, asyncio.Task[None]] | None = None
        self.woken = asyncio.Event()


class Evaluations:
    """Every method that takes an id raises `errors.NotFound`."""

    def __init__(
        self, shelf: Shelf, store: Store, answers: Answers, source: Source, at_work: AtWork
    ) -> None:
        self._shelf = shelf
        self._store = store
        self._answers = answers
        self._source = source
        self._at_work = at_work
        self._task: asyncio.Task[None] | None = None

    async def begin(self, wanted: Wanted, questions: Upload | str) -> Evaluation:
        """Check all of it and queue it; `errors.NotFound` or `errors.Unusable` say what is wrong."""
        try:
            require_pattern(wanted.metric, wanted.metric_pattern)
        except NotAPattern as error:
            raise InvalidOption(str(error), where="metric_pattern") from error
        over_documents = bool(wanted.documents or wanted.collection)
        model = await self._answers.model(wanted.model, over_documents=over_documents)
        base = await self._base_of(model, wanted.base)
        for one in (model, base):
            self._answers.require_askable(one)
        if over_documents:
            await self._answers.require_documents(model.name, wanted.documents, wanted.collection)
        pairs = await anyio.to_thread.run_sync(self._source.pairs, questions, wanted.limit)
        evaluation = Evaluation(
            id=self._shelf.new_id(),
            status="queued",
            model=model.name,
            base=base.name,
            documents=wanted.documents,
            collection=wanted.collection,
            metric=wanted.metric,
            metric_pattern=wanted.metric_pattern,
            questions=len(pairs),
            max_tokens=wanted.max_tokens,
            created_at=now(),
            models={"base": _of(base), "tuned": _of(model)},
        )

        def placed() -> None:
            with self._shelf.growing(evaluation.id) as folder:
                Record(folder).write_questions(pairs)
                self._shelf.place(folder, evaluation.id, evaluation.card())

        await anyio.to_thread.run_sync(placed)
        self._at_work.woken.set()
        return evaluation

    async def page(self, after: str | None, limit: int) -> tuple[list[Evaluation], bool]:
        """At most `limit`, newest first, behind the one of the id `after`; and whether there are more."""
        page, has_more = await anyio.to_thread.run_sync(self._shelf.page, after, limit)
        return readable(page, Evaluation.of), has_more

    async def show(self, id: str) -> Found:
        """One of them."""

        def read() -> Found:
            evaluation, record = self._get(id), Record(self._shelf.find(id))
            return Found(evaluation, progress(evaluation, record.answers()), record.result())

        return await anyio.to_thread.run_sync(read)

    async def cancel(self, id: str) -> Evaluation:
        """Call one off; the answers so far are kept. `errors.WrongState` when it has ended."""
        async with self._at_work.changing:
            evaluation = await anyio.to_thread.run_sync(self._get, id)
            if not evaluation.is_on_its_way:
                raise WrongState(
                    f"Evaluation {id} is {evaluation.status}: there is nothing to cancel.",
                    state=evaluation.status,
                )
            running = self._at_work.running
            if running is not None and running[0] == id:
                running[1].cancel()
                await asyncio.gather(running[1], return_exceptions=True)
                evaluation = await anyio.to_thread.run_sync(self._get, id)
            return (
                await self._end(evaluation, "cancelled") if evaluation.is_on_its_way else evaluation
            )

    async def delete(self, id: str) -> Evaluation:
        """Delete one that has ended; returns what it was."""
        async with self._at_work.changing:
            evaluation = await anyio.to_thread.run_sync(self._get, id)
            if evaluation.is_on_its_way:
                raise WrongState(
                    f"Evaluation {id} is {evaluation.status}. Cancel it, then delete it.",
                    state=evaluation.status,
                )
            await anyio.to_thread.run_sync(self._shelf.remove, id)
            return evaluation

    def start(self, of: Callable[[str], "Evaluations"] | None = None) -> None:
        """Bring what is queued, and what an earlier process was at, to an end; `of` gives those of a workspace."""
        self._task = asyncio.create_task(self._run(of or (lambda _: self)))

    async def close(self) -> None:
        """Stop where it is; the next start goes on."""
        running = self._at_work.running
        for task in (self._task, running[1] if running else None):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _run(self, of: Callable[[str], "Evaluations"]) -> None:
        await anyio.to_thread.run_sync(self._shelf.sweep)
        while True:
            self._at_work.woken.clear()
            try:
                while await self._one(of):
                    pass
            except Exception:
                LOGGER.exception("An evaluation could not be written down; it is tried again.")
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            await self._at_work.woken.wait()

    async def _one(self, of: Callable[[str], "Evaluations"]) -> bool:
        """Bring the oldest one of all workspaces to its end; whether there was one."""
        everyone = self._shelf.of(None)
        async with self._at_work.changing:
            every = await anyio.to_thread.run_sync(everyone.all)
            waiting = [one for one in readable(every, Evaluation.of) if one.is_on_its_way]
            if not waiting:
                return False
            evaluation = waiting[-1]
            theirs = of(await anyio.to_thread.run_sync(everyone.owner, evaluation.id))
            task = asyncio.create_task(theirs._answered(evaluation))
            self._at_work.running = evaluation.id, task
        try:
            await asyncio.wait({task})
        finally:
            self._at_work.running = None
        if not task.cancelled() and task.exception():
            raise task.exception()  # type: ignore[misc]
        return True

    async def _answered(self, evaluation: Evaluation) -> None:
        ASKING.set(Asking(in_background=True))
        begun = evaluation.with_(
            status="running", started_at=evaluation.started_at or now(), waits_for=None
        )
        await self._write(begun)
        record = Record(self._shelf.find(evaluation.id))
        told: list[str | None] = [None]

        async def waits(what: str | None) -> None:
            if what != told[0]:
                told[0] = what
                await self._write(begun.with_(waits_for=what))

        try:
            result = await Answering(self._answers, begun, record, waits).run()
            await in_thread(record.write_result, result)
        except ApiError as error:
            LOGGER.warning("Evaluation %s failed: %s", evaluation.id, error.detail)
            await self._end(begun, "failed", {"title": error.title, "detail": error.detail})
            return
        except OSError as error:
            await self._end(
                begun, "failed", {"title": "Not written", "detail": f"{error.strerror}."}
            )
            return
        except Exception as error:
            LOGGER.exception("Evaluation %s ends by an error.", evaluation.id)
            detail = f"{type(error).__name__}: {error}"
            await self._end(begun, "failed", {"title": "Unexpected error", "detail": detail})
            return
        await self._end(begun, "succeeded")
        LOGGER.info("Evaluation %s: %s", evaluation.id, result["says"])

    async def _end(
        self, evaluation: Evaluation, status: Status, error: Mapping[str, str] | None = None
    ) -> Evaluation:
        ended = evaluation.with_(status=status, ended_at=now(), waits_for=None, error=error)
        await self._write(ended)
        return ended

    async def _write(self, evaluation: Evaluation) -> None:
        await in_thread(self._shelf.update, evaluation.id, evaluation.card())

    async def _base_of(self, model: ModelInfo, named: str | None) -> ModelInfo:
        root = await anyio.to_thread.run_sync(self._store.models.root_of, model.name)
        base = named or str(root)
        if not named and model_key(base) == model_key(model.name):
            raise InvalidOption(
                f"{model.name!r} is a base model itself, or made elsewhere. Name what it is held against.",
                where="baseModel",
            )
        return await self._answers.model(base, over_documents=False)

    def _get(self, id: str) -> Evaluation:
        return Evaluation.of(id, self._shelf.card(id))


def _of(model: ModelInfo) -> dict[str, Any]:
    return {"name": model.name, "digest": model.digest, "quantization": model.quantization}
