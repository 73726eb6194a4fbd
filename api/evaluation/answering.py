"""Asks one evaluation's questions, arm by arm, and keeps each answer as it comes; what is there is not asked again."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio.to_thread

from api.errors import BackEndFailed, InvalidOption, TooManyRequests, Unavailable, Unusable
from api.evaluation import figures
from api.evaluation.record import Record
from api.evaluation.values import Arm, Evaluation, Given, Pair
from api.rag import Answers, Question
from api.rag.citations import without_markers
from api.runtime import Message, ModelInfo, Options
from api.runtime.threads import in_thread
from finetune.judging.metrics import NotAPattern, Scoring
from finetune.judging.scoring import scores

MOST_FAILURES = 3
"""When the back end fails at so many answers in a row, the evaluation does."""
MOST_PAUSE_SECONDS = 30.0
"""Before an answer is asked for again: what is waited for may end sooner than was said."""

_BEFORE_A_MARK = re.compile(r"\s+([.,;:!?])")

Waits = Callable[[str | None], Awaitable[None]]
"""Told what is waited for, and None when it goes on."""


class Answering:
    """One evaluation on its way."""

    def __init__(
        self, answers: Answers, evaluation: Evaluation, record: Record, waits: Waits
    ) -> None:
        self._answers = answers
        self._evaluation = evaluation
        self._record = record
        self._waits = waits
        self._failures = 0

    async def run(self) -> dict[str, Any]:
        """All that it found. `errors.ApiError` when it cannot be brought to its end."""
        pairs = await anyio.to_thread.run_sync(self._record.questions)
        await in_thread(self._record.mend)
        given = await anyio.to_thread.run_sync(self._record.answers)
        known = {(one.arm, one.question): one for one in given}
        for arm in self._evaluation.arms:
            await self._ask(arm, pairs, known)
        answers = {
            arm: [known[arm, number] for number in range(len(pairs))]
            for arm in self._evaluation.arms
        }
        return await anyio.to_thread.run_sync(self._judged, pairs, answers)

    async def _ask(
        self, arm: Arm, pairs: Sequence[Pair], known: dict[tuple[Arm, int], Given]
    ) -> None:
        for number, pair in enumerate(pairs):
            if (arm, number) in known:
                continue
            given = await self._given(arm, number, pair)
            await in_thread(self._record.append, given)
            known[arm, number] = given

    async def _given(self, arm: Arm, number: int, pair: Pair) -> Given:
        """The answer, whenever the runtime has time for it."""
        while True:
            started = time.monotonic()
            try:
                answer = await self._answers.whole(await self._question(arm, pair))
            except (Unavailable, TooManyRequests) as error:
                await self._waits(error.detail)
                await asyncio.sleep(min(error.retry_after_seconds or 1, MOST_PAUSE_SECONDS))
                continue
            except (BackEndFailed, Unusable) as error:
                self._failures = self._failures + 1 if isinstance(error, BackEndFailed) else 0
                if self._failures == MOST_FAILURES:
                    raise
                await self._waits(None)
                return Given(arm, number, "", 0, 0, _since(started), error.detail)
            self._failures = 0
            await self._waits(None)
            done = answer.done
            return Given(
                arm,
                number,
                answer.message,
                done.prompt_tokens,
                done.completion_tokens,
                _since(started),
            )

    async def _question(self, arm: Arm, pair: Pair) -> Question:
        wanted = self._evaluation
        over_documents = arm.endswith("_documents")
        name = wanted.base if arm.startswith("base") else wanted.model
        model: ModelInfo = await self._answers.model(name, over_documents=over_documents)
        messages = [Message(turn["role"], turn["content"]) for turn in pair.messages]  # type: ignore[arg-type]  # checked roles
        options = Options(temperature=0.0, seed=0, max_tokens=wanted.max_tokens)
        if not over_documents:
            return Question(model, messages, options=options)
        return Question(
            model, messages, wanted.documents, options, wanted.collection, documents_of=wanted.model
        )

    def _judged(self, pairs: Sequence[Pair], answers: dict[Arm, list[Given]]) -> dict[str, Any]:
        wanted = self._evaluation
        scoring = Scoring(wanted.metric, wanted.metric_pattern)
        scored: dict[Arm, list[float]] = {}
        for arm, given in answers.items():
            texts = [_plain(arm, one.text, pair) for one, pair in zip(given, pairs, strict=True)]
            rights = [pair.answer for pair in pairs]
            try:
                found = scores(scoring, list(zip(texts, rights, strict=True)))
            except NotAPattern as error:
                raise InvalidOption(str(error), where="metric_pattern") from error
            scored[arm] = [
                0.0 if one.error else score for one, score in zip(given, found, strict=True)
            ]
        return figures.result(wanted, pairs, answers, scored)


def _since(started: float) -> float:
    return round(time.monotonic() - started, 4)


def _plain(arm: Arm, text: str, pair: Pair) -> str:
    """An answer from documents without its markers, unless the right answer has markers too."""
    has_markers = without_markers(pair.answer) != pair.answer
    if has_markers or not arm.endswith("_documents"):
        return text
    return _BEFORE_A_MARK.sub(r"\1", without_markers(text))
