"""Opens what answers, as the settings say."""

from collections.abc import Sequence

from api.index import Index
from api.models.bundled import BundledModels
from api.models.catalog import ModelCatalog
from api.rag import Answers
from api.rag.grounded import Grounded
from api.rag.relevance import CALIBRATED, Calibration
from api.rag.rerank import Reranker
from api.rag.room import Limits
from api.runtime import ModelRuntime
from api.settings import Settings
from api.store import Store


def open_answers(
    settings: Settings,
    store: Store,
    runtime: ModelRuntime,
    index: Index,
    models: ModelCatalog,
    bundled: BundledModels,
    calibrated: Sequence[Calibration] = CALIBRATED,
) -> Answers:
    """Answers with the runtime's models over the store's documents."""
    limits = Limits(
        expansions=settings.expansions,
        passages=settings.passages,
        dense_weight=settings.dense_weight,
        max_answer_tokens=settings.max_answer_tokens,
        context_length=settings.context_length,
        max_answers=settings.max_answers,
        min_relevance=settings.min_relevance,
    )
    reranker = Reranker(runtime, settings.reranker, settings.rerank_passages)
    grounded = Grounded(runtime, store, index, limits, reranker, calibrated)
    return Answers(
        runtime,
        models,
        bundled,
        grounded,
        limits,
        settings.embedding_model,
        settings.default_model,
    )
