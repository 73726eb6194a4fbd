"""Opens the datasets, as the settings say."""

from api.data_folder.shelf import Shelf
from api.datasets.datasets import Datasets
from api.models.bases import BaseModels
from api.settings import Settings


def open_datasets(settings: Settings, base_models: BaseModels) -> Datasets:
    """The datasets of a data folder; what a dead process has left half made is removed."""
    shelf = Shelf(settings.datasets_dir, "ds", "dataset")
    shelf.sweep()
    return Datasets(
        shelf,
        base_models,
        default_base=settings.default_trainable_model,
        most_rows=settings.max_dataset_rows,
    )
