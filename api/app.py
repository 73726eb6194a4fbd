"""create_app(settings): the only place that wires."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator

import anyio.to_thread
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline

from api.base_models import BaseModels
from api.bundled import install_demo_base, open_bundled
from api.data_folder import DataFolder
from api.documents.deleting import Deleter
from api.documents.importing import open_importer
from api.errors import ApiError
from api.index.opening import open_index
from api.jobs.opening import clear_leftovers, open_jobs
from api.models import ModelCatalog
from api.problems import install_problem_handlers
from api.readiness import Readiness
from api.routes import documents, fine_tune, generate, health, jobs, models
from api.runners.opening import open_runner
from api.runtime.opening import open_runtime
from api.security import Gate
from api.services import Services
from api.settings import Settings
from api.spelling import Spelling
from api.store import Store, open_store

LOGGER = logging.getLogger("api")

DESCRIPTION = """Customise language models on your own hardware: give a base model a persona, import
PDFs and get answers with page citations, fine-tune on a CSV of conversations, and ask the result.
Parameters may stand in the query, in a form, or in a JSON body. Errors are problem+json (RFC 9457)."""


def create_app(settings: Settings) -> FastAPI:
    """The service over one data folder, which is locked and brought to the newest schema at once.

    `errors.CannotStart` when that cannot be. What takes longer opens behind `/healthz`.
    """
    folder = DataFolder(settings.data_dir)
    try:
        folder.sweep(settings.uploads_dir, settings.converting_dir)
        store = open_store(settings.database_path)
    except BaseException:
        folder.release()
        raise

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(folder.release)
            stack.callback(store.close)
            opening = asyncio.create_task(_open(app, settings, store, stack))
            try:
                yield
            finally:
                opening.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await opening

    app = FastAPIOffline(  # the Swagger page works without a way to the internet
        redoc_url=None,
        static_url="/swagger",
        title="LLM-FastAPI",
        version="0.1.0",
        description=DESCRIPTION,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.readiness = Readiness()
    app.state.services = None
    install_problem_handlers(app)
    routers = [room.router for room in (models, documents, generate, fine_tune, jobs, health)]
    for router in routers:
        app.include_router(router)
    paths = [route.path for one in routers for route in one.routes if isinstance(route, APIRoute)]
    app.add_middleware(Spelling, paths=paths)
    app.add_middleware(Gate, settings=settings)
    return app


async def _open(
    app: FastAPI, settings: Settings, store: Store, stack: contextlib.AsyncExitStack
) -> None:
    readiness: Readiness = app.state.readiness
    try:
        readiness.opening = "is looking through the database"
        await anyio.to_thread.run_sync(store.database.require_sound, abandon_on_cancel=True)
        readiness.opening = "is starting"
        services = await open_services(settings, store, stack)
        await anyio.to_thread.run_sync(clear_leftovers, settings, store)
        readiness.services = app.state.services = services
        await prepare(services)
    except ApiError as error:
        readiness.opening = error.detail
        LOGGER.error("not ready: %s", error.detail)
    except Exception:
        readiness.opening = "failed to open; the log has the traceback"
        LOGGER.exception("the service did not open")


async def open_services(
    settings: Settings, store: Store, stack: contextlib.AsyncExitStack
) -> Services:
    """Everything a route works with; `stack` gives it back, last opened first."""
    runtime = open_runtime(settings)
    stack.push_async_callback(runtime.close)
    index = await anyio.to_thread.run_sync(open_index, settings, store, runtime)
    stack.callback(index.close)
    importer = open_importer(settings, store, index)
    stack.push_async_callback(importer.close)
    deleter = Deleter(store, index, importer)
    stack.push_async_callback(deleter.close)
    base_models = BaseModels(settings.base_models_dir, store.models)
    runner = open_runner(settings)
    stack.callback(runner.close)
    submitter, supervisor = await anyio.to_thread.run_sync(
        open_jobs, settings, store, runtime, base_models, runner
    )
    stack.push_async_callback(supervisor.close)
    return Services(
        settings=settings,
        store=store,
        runtime=runtime,
        models=ModelCatalog(runtime, store, base_models),
        index=index,
        importer=importer,
        deleter=deleter,
        bundled=open_bundled(settings, runtime),
        submitter=submitter,
        jobs=supervisor,
    )


async def prepare(services: Services) -> None:
    """Make bundled models available and go on with what an earlier process left half done."""
    settings = services.settings
    with contextlib.suppress(ApiError):
        for hint in await services.runtime.check():
            LOGGER.warning("%s", hint)
    with _noted("Installing the demo base"):
        await install_demo_base(settings.base_models_dir)
    with contextlib.suppress(ApiError, OSError):  # it keeps and logs the reason
        await services.bundled.prepare(settings.embedding_model)
    services.jobs.start()
    with _noted("Repairing the index"):
        for finding in await services.index.repair():
            LOGGER.warning("%s Put right.", finding)
    with _noted("Going on with deletes"):
        await services.deleter.resume()
    with _noted("Going on with imports"):
        await services.importer.resume()
    with contextlib.suppress(ApiError, OSError):
        await services.bundled.prepare("demo")
    with _noted("Taking in base models"):
        await services.models.take_in_all()


@contextlib.contextmanager
def _noted(step: str) -> Iterator[None]:
    """One step that fails does not keep the next ones from being taken."""
    try:
        yield
    except ApiError as error:
        LOGGER.warning("%s waits: %s", step, error.detail)
    except Exception:
        LOGGER.exception("%s failed.", step)
