"""The truth about collections, documents, models, jobs and keys. The only package that imports the database library.

All calls are synchronous and are made from worker threads; each is one transaction. As it is opened, a store sees the
rows of every workspace by their ids, for what works in the background; `Store.of` is what one workspace sees.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from api.names import WORKSPACE, in_workspace
from api.store.backends import BackEnds
from api.store.changes import Changes
from api.store.chunks import Chunks
from api.store.collection_cards import CollectionCards
from api.store.collection_files import CollectionFiles
from api.store.collections import Collections
from api.store.contents import Contents
from api.store.database import Database, open_database
from api.store.documents import Documents
from api.store.installation import Installation
from api.store.jobs import Jobs
from api.store.keys import Keys
from api.store.model_defaults import ModelDefaults
from api.store.models import Models
from api.store.reembeddings import Reembeddings
from api.store.replacements import Replacements
from api.store.responses import Responses
from api.store.vectors import Vectors


@dataclass(frozen=True, slots=True)
class Store:
    """The tables, by noun."""

    database: Database
    collections: Collections
    collection_cards: CollectionCards
    collection_files: CollectionFiles
    documents: Documents
    replacements: Replacements
    reembeddings: Reembeddings
    contents: Contents
    chunks: Chunks
    vectors: Vectors
    changes: Changes
    models: Models
    jobs: Jobs
    installation: Installation
    keys: Keys
    responses: Responses
    back_ends: BackEnds
    model_defaults: ModelDefaults

    def of(self, workspace: str) -> "Store":
        """What is that workspace's; nothing of another one's is found in it, by name or by id."""
        database = self.database
        return replace(
            self,
            collections=Collections(database, workspace),
            collection_cards=CollectionCards(database, workspace),
            collection_files=CollectionFiles(database, workspace),
            documents=Documents(database, workspace),
            models=Models(database, workspace),
            jobs=Jobs(database, workspace),
            responses=Responses(database, workspace),
        )

    def workspaces(self) -> set[str]:
        """Those that have a model or a job, and the first one."""
        made = {in_workspace(name)[0] for name in self.models.all()}
        return {WORKSPACE} | made | {job.workspace for job in self.jobs.all()}

    def close(self) -> None:
        """Give the connections back."""
        self.database.close()


def open_store(path: Path) -> Store:
    """Open the database, brought to the newest schema; `errors.CannotStart` when it is damaged or newer."""
    database = open_database(path)
    return Store(
        database,
        Collections(database),
        CollectionCards(database),
        CollectionFiles(database),
        Documents(database),
        Replacements(database),
        Reembeddings(database),
        Contents(database),
        Chunks(database),
        Vectors(database),
        Changes(database),
        Models(database),
        Jobs(database),
        Installation(database),
        Keys(database),
        Responses(database),
        BackEnds(database),
        ModelDefaults(database),
    )
