"""Opens the tables and the databases, as the settings say."""

from api.data_folder.shelf import Shelf
from api.names import WORKSPACE
from api.settings import Settings
from api.tables.databases import Databases
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
