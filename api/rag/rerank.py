"""A second look at the best passages: a reranker reads each with the question and puts them into its own order."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from api.errors import ApiError, ModelNotFound
from api.rag.retrieve import Hit
from api.runtime import ModelRuntime

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reranked:
    """Passages, best first, and the reranker that ordered the best of them; None when none did."""

    hits: list[Hit]
    by: str | None = None


class Reranker:
    """Orders the best `most` passages by a model of the runtime; without a model it leaves all as they are."""

    def __init__(self, runtime: ModelRuntime, model: str, most: int) -> None:
        self._runtime = runtime
        self._model = model
        self._most = most

    async def reranked(self, question: str, found: list[Hit]) -> Reranked:
        """The passages in their new order; in their own, with a warning in the log, when the reranker fails."""
        best = found[: self._most]
        if not self._model or len(best) < 2:
            return Reranked(found)
        texts = [f"{hit.document}\n{hit.shown_text}" for hit in best]
        try:
            scores = await self._runtime.rerank(self._model, question, texts)
        except ApiError as error:
            logger.warning("the reranker %r ordered nothing: %s", self._model, error.detail)
            return Reranked(found)
        return Reranked(by_scores(best, scores) + found[len(best) :], self._model)

    async def check(self) -> tuple[str, ...]:
        """A hint for the operator when the model is not there, or is no reranker."""
        if not self._model:
            return ()
        named = f"LLM_FASTAPI_RERANKER names {self._model!r}"
        try:
            info = await self._runtime.show(self._model)
        except ModelNotFound:
            return (f"{named}, and there is no such model: nothing is reranked.",)
        if "rerank" not in info.capabilities:
            return (f"{named}, which is no reranker: nothing is reranked.",)
        return ()


def by_scores(found: Sequence[Hit], scores: Sequence[float]) -> list[Hit]:
    """The hits by a reranker's scores, which have no bounds: the place that a hit takes gives it its own score. Equal
    ones stay as they were.
    """
    order = sorted(range(len(found)), key=lambda n: scores[n], reverse=True)
    return [found[n]._replace(score=place.score) for n, place in zip(order, found, strict=True)]
