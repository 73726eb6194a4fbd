"""Opens the tables, the databases and the predictions, as the settings say."""

from api.data_folder.cards import Cards
from api.data_folder.shelf import Shelf
from api.names import WORKSPACE
from api.settings import Settings
from api.tables.databases import Databases
from api.tables.learned import Learned
from api.tables.prediction import from_card
from api.tables.predictions import PredictionRunner, Predictions
from api.tables.shelf import Tables


def open_tables(settings: Settings, workspace: str = WORKSPACE) -> Tables:
    """The tables of a workspace; what a dead process left half made or replaced is removed."""
    shelf = Shelf(settings.tables_dir, "tb", "table", workspace)
    tables = Tables(shelf)
    if workspace == WORKSPACE:
        shelf.sweep()
    tables.drop_replaced()
    return tables


def open_databases(settings: Settings) -> Databases:
    """The databases of all workspaces; each is connected to when it is first used."""
    return Databases(settings.databases)


def open_learned(
    settings: Settings, tables: Tables, databases: Databases, workspace: str = WORKSPACE
) -> Learned:
    """The rows of a workspace that fine-tunes can learn."""
    return Learned(tables, databases, workspace, settings.max_dataset_rows)


def open_prediction_runner(settings: Settings, databases: Databases) -> PredictionRunner:
    """What brings the predictions of all workspaces on; what a dead process left half made is removed."""
    shelf = _predictions(settings)
    shelf.sweep()
    return PredictionRunner(Cards(shelf, from_card), databases, settings.parallel_requests)


def open_predictions(
    settings: Settings, tables: Tables, runner: PredictionRunner, workspace: str = WORKSPACE
) -> Predictions:
    """The predictions of a workspace."""
    shelf = _predictions(settings).of(workspace)
    return Predictions(shelf, workspace, tables, runner, settings.max_table_rows)


def _predictions(settings: Settings) -> Shelf:
    return Shelf(settings.predictions_dir, "pr", "prediction")
