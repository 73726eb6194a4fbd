"""Opens the datasets, as the settings say."""

from api.data_folder.shelf import Shelf
from api.datasets.datasets import Datasets
from api.models.bases import BaseModels
from api.names import WORKSPACE
from api.settings import Settings


def open_datasets(
    settings: Settings, base_models: BaseModels, workspace: str = WORKSPACE
) -> Datasets:
    """The datasets of a workspace in a data folder; with the first what a dead process left half made is removed."""
    shelf = Shelf(settings.datasets_dir, "ds", "dataset", workspace)
    if workspace == WORKSPACE:
        shelf.sweep()
    return Datasets(
        shelf,
        base_models,
        default_base=settings.default_trainable_model,
        most_rows=settings.max_dataset_rows,
    )
