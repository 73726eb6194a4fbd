"""Opens the evaluations and measurements, as the settings say."""

from api.data_folder.shelf import Shelf
from api.datasets.datasets import Datasets
from api.evaluation.evaluations import Evaluations
from api.evaluation.questions import Source
from api.evaluation.retrieval import Measurements
from api.rag import Answers
from api.settings import Settings
from api.store import Store


def open_evaluations(
    settings: Settings, store: Store, answers: Answers, datasets: Datasets
) -> Evaluations:
    """The evaluations of a data folder; `start` brings them to an end."""
    shelf = Shelf(settings.evaluations_dir, "ev", "evaluation")
    return Evaluations(
        shelf, store, answers, Source(datasets, settings.uploads_dir, settings.max_dataset_rows)
    )


def open_measurements(settings: Settings, store: Store, answers: Answers) -> Measurements:
    """The measurements of retrieval, beside the evaluations."""
    shelf = Shelf(settings.evaluations_dir, "me", "measurement")
    searching = {
        "chunk_tokens": settings.chunk_tokens,
        "chunk_overlap_tokens": settings.chunk_overlap_tokens,
        "dense_weight": settings.dense_weight,
        "reranker": settings.reranker,
        "rerank_passages": settings.rerank_passages,
    }
    return Measurements(shelf, store, answers, settings.uploads_dir, searching)
