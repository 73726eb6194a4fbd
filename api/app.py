"""create_app(settings): HTTP alone; what stands behind it is opened by `opening.py`, or by a test."""

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio.to_thread
from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline

from api.auth.opening import open_auth
from api.batches.values import Ask
from api.data_folder import DataFolder
from api.data_folder.leftovers import sweep
from api.errors import ApiError
from api.http.anthropic_errors import is_anthropic
from api.http.forwarded import Forwarded
from api.http.gate import AllowedOrigins, Gate
from api.http.head import Head
from api.http.key_check import KeyCheck
from api.http.observe import Fields, Observe
from api.http.openai_errors import is_openai
from api.http.openapi import describe_answers
from api.http.problems import install_problem_handlers
from api.http.refusals import defect_response
from api.http.spelling import Spelling
from api.http.traced import Traced
from api.jobs.opening import clear_leftovers
from api.opening import open_services, prepare
from api.readiness import Readiness
from api.routes import docs, health, mcp, metrics
from api.routes.anthropic import create_anthropic_app
from api.routes.door import Door
from api.routes.openai import create_openai_app, no_path_or_no_prefix
from api.routes.openai.inside import asking
from api.routes.original import (
    adapters,
    backends,
    collections,
    complete,
    datasets,
    documents,
    embed,
    evaluations,
    fine_tune,
    generate,
    implement,
    import_documents,
    job_files,
    jobs,
    keys,
    model_changes,
    models,
    predict,
    reports,
    retrieval,
    search,
    shared,
    sql,
    sweeps,
    tables,
    usage,
)
from api.routes.scopes import require_scope
from api.services import Services
from api.settings import Settings
from api.store import Store, open_store
from api.tracing.opening import open_tracer

LOGGER = logging.getLogger("api")

Open = Callable[[Settings, Store, contextlib.AsyncExitStack], Awaitable[Services]]
Prepare = Callable[[Services], Awaitable[None]]

DESCRIPTION = """Customise language models on your own hardware: give a base model a persona, import
documents and get answers with page citations, fine-tune on conversations, preferences or texts, and ask the result.

Parameters may stand in the query, in a form or in a JSON body, files in a multipart form; an empty
field and a `null` are as left out. Every refusal is a `Problem` (RFC 9457, `application/problem+json`)."""
TAGS = [
    {"name": "models", "description": "Personas over base models, and what was fine-tuned."},
    {
        "name": "documents",
        "description": "Documents that a model can be asked about: PDF, Office, HTML, text, EPUB.",
    },
    {"name": "collections", "description": "Documents of their own, for several models or none."},
    {"name": "generate", "description": "Answers from a model, with documents or without."},
    {"name": "datasets", "description": "Data to train on, looked at before anything is trained."},
    {"name": "fine-tuning", "description": "Train a model of your own."},
    {"name": "jobs", "description": "What fine-tuning does: follow, cancel, resume, publish."},
    {"name": "sweeps", "description": "The same training with other parameters, several times."},
    {
        "name": "tables",
        "description": "Rows: tables kept here, databases, a column filled by a model.",
    },
    {"name": "evaluations", "description": "Which lever helps; is the right page found?"},
    {"name": "shared", "description": "Models and collections that every workspace may use."},
    {"name": "back ends", "description": "Models that run elsewhere, under names of yours."},
    {"name": "keys", "description": "Who may call, what, how much; and what was used."},
    {"name": "health", "description": "Is it alive, is it ready."},
]


def create_app(
    settings: Settings, open: Open = open_services, prepare: Prepare = prepare
) -> FastAPI:
    """The service over one data folder, which is locked and brought to the newest schema at once.

    `errors.CannotStart` when that cannot be. What takes longer opens behind `/healthz`: first `open`, then, while
    requests are answered already, `prepare`.
    """
    folder = DataFolder(settings.data_dir)
    try:
        sweep(settings)
        store = open_store(settings.database_path)
        auth = open_auth(store, keeps_admin=settings.api_key is None)
        tracer = open_tracer(settings)
    except BaseException:
        folder.release()
        raise

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(folder.release)
            stack.callback(store.close)
            if tracer:
                stack.push_async_callback(anyio.to_thread.run_sync, tracer.close)
            await stack.enter_async_context(auth.following())
            opening = asyncio.create_task(_open(app, settings, store, stack, open, prepare, ask))
            try:
                yield
            finally:
                opening.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await opening

    app = FastAPIOffline(  # the Swagger page works without a way to the internet
        docs_url=None,
        redoc_url=None,
        static_url=docs.PARTS,
        servers=docs.SERVERS,
        title="LLM-FastAPI",
        version="0.1.0",
        description=DESCRIPTION,
        openapi_tags=TAGS,
        lifespan=lifespan,
        redirect_slashes=False,
        dependencies=[Depends(require_scope)],
    )
    describe_answers(app)
    app.state.readiness = Readiness()
    app.state.services = None
    app.state.auth = auth
    install_problem_handlers(app)
    app.add_exception_handler(404, no_path_or_no_prefix)
    routers = [
        room.router
        for room in (
            models,
            model_changes,
            collections,
            documents,
            import_documents,
            generate,
            search,
            complete,
            embed,
            implement,
            datasets,
            fine_tune,
            adapters,
            job_files,
            reports,
            jobs,
            sweeps,
            sql,
            tables,
            predict,
            retrieval,  # before the evaluations, whose ids would take its path
            evaluations,
            backends,
            keys,
            shared,
            usage,
            health,
            metrics,
            mcp,
        )
    ]
    for router in routers:
        app.include_router(router)
    paths = [route.path for one in routers for route in one.routes if isinstance(route, APIRoute)]
    docs.add_swagger_page(app)
    docs.describe_gate(app, settings, auth)
    app.add_middleware(Spelling, paths=paths)
    openai = create_openai_app(app.state)
    on_end = functools.partial(_count, app)
    ask = asking(Observe(KeyCheck(openai, settings, auth), defect_response, on_end))
    app.add_middleware(Door, behind=openai, has=is_openai)
    app.add_middleware(Door, behind=create_anthropic_app(app.state), has=is_anthropic)
    app.add_middleware(Head)
    app.add_middleware(Gate, settings=settings, auth=auth)
    if settings.allowed_origins:
        app.add_middleware(AllowedOrigins, settings=settings)
    app.add_middleware(Forwarded, settings=settings)
    if tracer:
        app.add_middleware(Traced, tracer=tracer)
    app.add_middleware(  # the last one added is the outermost
        Observe, on_defect=defect_response, on_end=on_end
    )
    return app


def _count(app: FastAPI, fields: Fields) -> None:
    """One more request in the figures, by its route and status."""
    services: Services | None = app.state.services
    if services is not None:
        services.figures.answered(str(fields["route"]), int(fields.get("status", 0)))


async def _open(
    app: FastAPI,
    settings: Settings,
    store: Store,
    stack: contextlib.AsyncExitStack,
    open: Open,
    prepare: Prepare,
    ask: Ask,
) -> None:
    readiness: Readiness = app.state.readiness
    try:
        readiness.opening = "is looking through the database"
        await anyio.to_thread.run_sync(store.database.require_sound, abandon_on_cancel=True)
        readiness.opening = "is starting"
        services = await open(settings, store, stack)
        await anyio.to_thread.run_sync(clear_leftovers, services.folders.jobs, store)
        readiness.services = app.state.services = services
        await prepare(services)
        services.queries.sql.start(ask)
        services.batches.start(lambda workspace: services.of(workspace).files, ask)
        services.predictions.start(lambda workspace: services.of(workspace).tables, ask)
    except ApiError as error:
        readiness.opening, readiness.has_failed = error.detail, True
        LOGGER.error("not ready: %s", error.detail)
    except Exception:
        readiness.opening = "The service failed to open; the log has the traceback."
        readiness.has_failed = True
        LOGGER.exception("the service did not open")
