"""Opens the evaluations and measurements, as the settings say."""

from api.data_folder.shelf import Shelf
from api.datasets.datasets import Datasets
from api.evaluation.evaluations import AtWork, Evaluations
from api.evaluation.questions import Source
from api.evaluation.retrieval import Measurements
from api.names import WORKSPACE
from api.rag import Answers
from api.settings import Settings
from api.store import Store


def open_evaluations(
    settings: Settings,
    store: Store,
    answers: Answers,
    datasets: Datasets,
    at_work: AtWork,
    workspace: str = WORKSPACE,
) -> Evaluations:
    """The evaluations of a workspace in a data folder; `start` brings those of all to an end."""
    shelf = Shelf(settings.evaluations_dir, "ev", "evaluation", workspace)
    source = Source(datasets, settings.uploads_dir, settings.max_dataset_rows)
    return Evaluations(shelf, store, answers, source, at_work)


def open_measurements(
    settings: Settings, store: Store, answers: Answers, workspace: str = WORKSPACE
) -> Measurements:
    """The measurements of retrieval of a workspace, beside the evaluations."""
    shelf = Shelf(settings.evaluations_dir, "me", "measurement", workspace)
    searching = {
        "chunk_tokens": settings.chunk_tokens,
        "chunk_overlap_tokens": settings.chunk_overlap_tokens,
        "dense_weight": settings.dense_weight,
        "reranker": settings.reranker,
        "rerank_passages": settings.rerank_passages,
    }
    return Measurements(shelf, store, answers, settings.uploads_dir, searching)
