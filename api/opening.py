"""Opens everything the service works with, and prepares it: for the app, for `doctor` and for `clean`."""

import contextlib
import functools
import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import anyio.to_thread

from api.backends.catalogue import BackEnds
from api.backends.opening import open_back_ends
from api.batches.opening import open_batch_runner, open_batches
from api.batches.runner import BatchRunner
from api.data_folder.expiry import Expiry
from api.data_folder.guarded import Folders
from api.datasets.opening import open_datasets
from api.documents.collections import CollectionCatalog
from api.documents.deleting import Deleter
from api.documents.importing import Importer, open_importer
from api.documents.reembedding import Reembedder
from api.errors import ApiError
from api.evaluation.evaluations import AtWork
from api.evaluation.opening import open_evaluations, open_measurements
from api.evaluation.retrieval_proposals import Proposals
from api.files.opening import open_files, open_uploads
from api.index import Index
from api.index.opening import open_index
from api.jobs.files import JobFiles
from api.jobs.opening import open_submitter, open_supervisor
from api.jobs.queue import JobQueue
from api.jobs.reporting import Reports
from api.jobs.supervise import Supervisor
from api.metrics import Figures
from api.metrics.watched import WatchedRuntime
from api.models.bases import BaseModels
from api.models.bundled import BundledModels, install_demo_base, open_bundled
from api.models.catalog import ModelCatalog
from api.models.changing import ModelChanges
from api.models.defaults import DefaultsRuntime, KeptDefaults
from api.models.workspaces import Workspaces
from api.names import WORKSPACE, valid_workspace
from api.rag.kept import Responses
from api.rag.opening import open_answers
from api.runners import JobRunner
from api.runners.opening import open_runner
from api.runtime import ModelRuntime
from api.runtime.fair import FairRuntime, Turns
from api.runtime.opening import open_runtime
from api.runtime.routed import RoutedRuntime
from api.runtime.traced import TracedRuntime
from api.services import Services
from api.settings import Settings
from api.store import Store
from api.store.folders import open_folders
from api.structured.sandbox import Sandbox
from api.sweeps.opening import open_sweeps
from api.tables.databases import Databases
from api.tables.opening import (
    open_databases,
    open_learned,
    open_prediction_runner,
    open_predictions,
    open_tables,
)
from api.tables.predictions import PredictionRunner
from api.tables.queries import Queries
from api.tables.sql import Sql
from api.vector_stores.attaching import Attaching
from api.vector_stores.expiry import expire as expire_stores
from api.vector_stores.opening import open_vector_stores

LOGGER = logging.getLogger("api")


async def open_services(
    settings: Settings, store: Store, stack: contextlib.AsyncExitStack, *, sweeps: bool = True
) -> Services:
    """Everything a route works with in the first workspace, as the settings say; `stack` gives it back, last first.

    `sweeps`: what was left half done or has no place is put away, as at a start.
    """
    folders = await anyio.to_thread.run_sync(open_folders, settings, store)
    for one in folders.all:
        one.may_sweep &= sweeps
    runtime = await anyio.to_thread.run_sync(open_runtime, settings, folders.models)
    stack.push_async_callback(runtime.close)
    back_ends = await anyio.to_thread.run_sync(open_back_ends, settings, store)
    stack.push_async_callback(back_ends.close)
    runtime = RoutedRuntime(runtime, back_ends)
    if settings.otlp_endpoint:
        runtime = TracedRuntime(runtime, settings.runtime, back_ends.provider_of)
    index = await anyio.to_thread.run_sync(open_index, settings, store, runtime)
    stack.callback(index.close)
    runner = open_runner(settings)
    stack.callback(runner.close)
    return await services_over(settings, store, stack, runtime, index, runner, folders, back_ends)


async def services_over(
    settings: Settings,
    store: Store,
    stack: contextlib.AsyncExitStack,
    runtime: ModelRuntime,
    index: Index,
    runner: JobRunner,
    folders: Folders | None = None,
    back_ends: BackEnds | None = None,
) -> Services:
    """The services of the first workspace over what is open already; who opened it closes it. Without `back_ends` the
    runtime is that of this machine alone, and they are put beside it.
    """
    if folders is None:
        folders = await anyio.to_thread.run_sync(open_folders, settings, store)
    if back_ends is None:
        back_ends = await anyio.to_thread.run_sync(open_back_ends, settings, store)
        stack.push_async_callback(back_ends.close)
        runtime = RoutedRuntime(runtime, back_ends)
    figures = Figures()
    turns = Turns(
        settings.parallel_requests,
        settings.waiting_requests,
        figures.queued,
        line_of=back_ends.line_of,
    )
    defaults = KeptDefaults(store)
    runtime = WatchedRuntime(FairRuntime(DefaultsRuntime(runtime, defaults), turns), figures)
    importer = open_importer(settings, store, index, folders)
    stack.push_async_callback(importer.close)
    deleter = Deleter(store, index, importer)
    stack.push_async_callback(deleter.close)
    reembedder = Reembedder(store, index, importer)
    stack.push_async_callback(reembedder.close)
    workspaces = Workspaces(store, runtime)
    supervisor = open_supervisor(settings, workspaces, runner, folders.jobs)
    stack.push_async_callback(supervisor.close)
    batch_runner = await anyio.to_thread.run_sync(open_batch_runner, settings)
    stack.push_async_callback(batch_runner.close)
    pinned = await anyio.to_thread.run_sync(store.collections.pinned)
    bundled = open_bundled(settings, runtime, pinned)
    attaching = Attaching(store, index, importer, deleter, bundled, settings.uploads_dir)
    stack.push_async_callback(attaching.close)
    deleter.let_wait = attaching.wake
    sandbox = Sandbox(shutil.which("bwrap"))
    stack.callback(sandbox.close)
    sql = Sql(shutil.which("bwrap"))
    databases = open_databases(settings)
    stack.callback(databases.close)
    predicting = await anyio.to_thread.run_sync(open_prediction_runner, settings, databases)
    stack.push_async_callback(predicting.close)
    once = Once(
        settings=settings,
        workspaces=workspaces,
        defaults=defaults,
        folders=folders,
        index=index,
        importer=importer,
        deleter=deleter,
        reembedder=reembedder,
        attaching=attaching,
        bundled=bundled,
        back_ends=back_ends,
        runner=runner,
        supervisor=supervisor,
        batch_runner=batch_runner,
        at_work=AtWork(),
        turns=turns,
        figures=figures,
        expiry=Expiry(),
        sandbox=sandbox,
        databases=databases,
        predicting=predicting,
        sql=sql,
    )
    services = await anyio.to_thread.run_sync(once.services_of, WORKSPACE)
    attaching.files_of = lambda workspace: services.of(workspace).files
    stack.push_async_callback(services.sweeps.close)
    stack.push_async_callback(services.evaluations.close)
    stack.push_async_callback(services.expiry.close)
    services.expiry.add(services.files.expire)
    services.expiry.add(services.uploads.expire)
    services.expiry.add(services.responses.expire)
    services.expiry.add(functools.partial(expire_stores, store, deleter, attaching))
    return services


@dataclass(frozen=True, slots=True)
class Once:
    """What an installation has once, whatever workspaces it has."""

    settings: Settings
    workspaces: Workspaces
    defaults: KeptDefaults
    folders: Folders
    index: Index
    importer: Importer
    deleter: Deleter
    reembedder: Reembedder
    attaching: Attaching
    bundled: BundledModels
    back_ends: BackEnds
    runner: JobRunner
    supervisor: Supervisor
    batch_runner: BatchRunner
    at_work: AtWork
    turns: Turns
    figures: Figures
    expiry: Expiry
    sandbox: Sandbox
    databases: Databases
    predicting: PredictionRunner
    sql: Sql

    def services_of(self, workspace: str, first: Services | None = None) -> Services:
        """All that a workspace sees; `first` are the services of the first one, in any other."""
        id, store, runtime = own = self.workspaces.of(workspace)
        settings, index, bundled = self.settings, self.index, self.bundled
        bases = BaseModels(settings.base_models_dir, store.models)
        datasets = open_datasets(settings, bases, id)
        files = open_files(settings, datasets, id)
        tables = open_tables(settings, id)
        jobs_folder = self.folders.jobs
        submitter = open_submitter(
            settings, store, runtime, bases, self.runner, jobs_folder, datasets
        )
        jobs = JobQueue(store, runtime, submitter, self.supervisor)
        models = ModelCatalog(
            runtime,
            store,
            bases,
            bundled,
            settings.default_base_model,
            first.models if first else None,
        )
        answers = open_answers(settings, store, runtime, index, models, bundled)
        return Services(
            workspace=id,
            views=first.views if first else Views(self),
            workspaces=self.workspaces,
            settings=settings,
            store=store,
            folders=self.folders,
            runtime=runtime,
            back_ends=self.back_ends,
            turns=self.turns,
            figures=self.figures,
            models=models,
            model_changes=ModelChanges(own, models, self.defaults),
            answers=answers,
            sandbox=self.sandbox,
            responses=Responses(store, settings),
            collections=CollectionCatalog(
                settings,
                store,
                runtime,
                index,
                self.importer,
                self.deleter,
                self.reembedder,
                models,
                bundled,
            ),
            index=index,
            importer=self.importer,
            deleter=self.deleter,
            reembedder=self.reembedder,
            bundled=bundled,
            datasets=datasets,
            files=files,
            uploads=open_uploads(settings, files, id),
            expiry=self.expiry,
            batches=open_batches(settings, files, self.batch_runner, id),
            vector_stores=open_vector_stores(
                store, files, self.attaching, self.deleter, models, answers
            ),
            jobs=jobs,
            evaluations=open_evaluations(settings, store, answers, datasets, self.at_work, id),
            measurements=open_measurements(settings, store, answers, id),
            proposals=Proposals(store, answers),
            reports=Reports(store, settings.jobs_dir),
            job_files=JobFiles(store, settings.jobs_dir),
            sweeps=open_sweeps(settings, store, runtime, jobs, id),
            tables=tables,
            predictions=open_predictions(settings, tables, self.predicting, id),
            learned=open_learned(settings, tables, self.databases, id),
            databases=self.databases,
            queries=Queries(self.sql, tables, self.databases, id),
        )


class Views:
    """The services of other workspaces than the first, each made when it is first asked for."""

    def __init__(self, once: Once) -> None:
        self._once = once
        self._made: dict[str, Services] = {}

    def __call__(self, first: Services, workspace: str) -> Services:
        """All that a workspace sees; `errors.InvalidName` for what is no workspace's name."""
        if workspace not in self._made:
            valid_workspace(workspace)
            made = self._once.services_of(workspace, first)
            return self._made.setdefault(workspace, made)  # two threads may come at once
        return self._made[workspace]


async def prepare(services: Services) -> None:
    """Make bundled models available and go on with what an earlier process left half done."""
    settings = services.settings
    services.store.database.reserve.fill()
    with contextlib.suppress(ApiError):
        for hint in await services.runtime.check():
            LOGGER.warning("%s", hint)
    with _noted("Installing the demo base"):
        await install_demo_base(settings.base_models_dir)
    await services.bundled.prepare_embedders()
    with contextlib.suppress(ApiError):  # `/readyz` says it when it can be told
        LOGGER.info("Embedding with %s.", await services.index.embedder.described())
    services.jobs.start()
    services.sweeps.start(lambda workspace: services.of(workspace).sweeps)
    with _noted("Repairing the index"):
        for finding in await services.index.repair():
            LOGGER.warning("%s Put right.", finding)
    with _noted("Going on with deletes"):
        await services.deleter.resume()
    with _noted("Going on with imports"):
        await services.importer.resume()
    services.vector_stores.files.resume()
    with _noted("Going on with embedding anew"):
        await services.reembedder.resume()
    with contextlib.suppress(ApiError, OSError):
        await services.bundled.prepare("demo")
    with _noted("Taking in base models"):
        await services.models.waiting.take_in_all()
    services.back_ends.start()
    services.evaluations.start(lambda workspace: services.of(workspace).evaluations)
    services.expiry.start()


@contextlib.contextmanager
def _noted(step: str) -> Iterator[None]:
    """One step that fails does not keep the next ones from being taken."""
    try:
        yield
    except ApiError as error:
        LOGGER.warning("%s waits: %s", step, error.detail)
    except Exception:
        LOGGER.exception("%s failed.", step)
