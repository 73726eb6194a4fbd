"""What the routes work with; `app.py` fills it once and puts it on `app.state.services`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from api.backends.catalogue import BackEnds
    from api.batches.batches import Batches
    from api.data_folder.expiry import Expiry
    from api.data_folder.guarded import Folders
    from api.datasets.datasets import Datasets
    from api.documents.collections import CollectionCatalog
    from api.documents.deleting import Deleter
    from api.documents.importing import Importer
    from api.documents.reembedding import Reembedder
    from api.evaluation.evaluations import Evaluations
    from api.evaluation.retrieval import Measurements
    from api.evaluation.retrieval_proposals import Proposals
    from api.files.files import Files
    from api.files.uploads import Uploads
    from api.index import Index
    from api.jobs.files import JobFiles
    from api.jobs.queue import JobQueue
    from api.jobs.reporting import Reports
    from api.metrics import Figures
    from api.models.bundled import BundledModels
    from api.models.catalog import ModelCatalog
    from api.models.changing import ModelChanges
    from api.models.workspaces import Workspaces
    from api.rag import Answers
    from api.rag.kept import Responses
    from api.runtime import ModelRuntime
    from api.runtime.fair import Turns
    from api.settings import Settings
    from api.store import Store
    from api.structured.sandbox import Sandbox
    from api.sweeps.sweeps import Sweeps
    from api.tables.databases import Databases
    from api.tables.learned import Learned
    from api.tables.predictions import Predictions
    from api.tables.queries import Queries
    from api.tables.shelf import Tables
    from api.vector_stores.stores import VectorStores


@dataclass(frozen=True, slots=True)
class Services:
    """One object a noun, each as one workspace sees it; everything is open for as long as the app serves.

    Of `store` and `runtime` too: those of all workspaces, for work in the background, are `workspaces.store` and
    `workspaces.runtime`.
    """

    workspace: str
    views: Callable[[Services, str], Services]
    workspaces: Workspaces
    settings: Settings
    store: Store
    folders: Folders
    runtime: ModelRuntime
    back_ends: BackEnds
    turns: Turns
    figures: Figures
    models: ModelCatalog
    model_changes: ModelChanges
    answers: Answers
    sandbox: Sandbox
    responses: Responses
    collections: CollectionCatalog
    index: Index
    importer: Importer
    deleter: Deleter
    reembedder: Reembedder
    bundled: BundledModels
    datasets: Datasets
    files: Files
    uploads: Uploads
    expiry: Expiry
    batches: Batches
    vector_stores: VectorStores
    jobs: JobQueue
    evaluations: Evaluations
    measurements: Measurements
    proposals: Proposals
    reports: Reports
    job_files: JobFiles
    sweeps: Sweeps
    tables: Tables
    databases: Databases
    predictions: Predictions
    learned: Learned
    queries: Queries

    def of(self, workspace: str) -> Services:
        """What that workspace sees; asked of the services of the first one."""
        return self if workspace == self.workspace else self.views(self, workspace)
