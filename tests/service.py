"""A service over the fake runtime: all routes behind the gate; real store, words, importer and queue.

Vectors are in memory, and the queue never starts.
"""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from api.http.gate import Gate
from api.http.problems import install_problem_handlers
from api.http.spelling import Spelling
from api.jobs.opening import open_jobs
from api.models.bases import BaseModels
from api.models.bundled import BundledModels
from api.models.catalog import ModelCatalog
from api.readiness import Readiness
from api.routes import health
from api.routes.original import documents, fine_tune, generate, jobs, models
from api.runners.local import LocalRunner
from api.services import Services
from api.settings import Settings
from api.store import Store
from tests.documents.house import House
from tests.fakes import FakeRuntime


@dataclass
class Service:
    """A client and what stands behind it."""

    app: FastAPI
    client: TestClient
    runtime: FakeRuntime
    store: Store
    house: House


def open_service(folder: Path) -> Service:
    """Everything over a folder without documents."""
    house = House(folder)
    settings = Settings(data_dir=folder, max_upload_bytes=200_000, max_body_bytes=500_000)
    app = FastAPI(redirect_slashes=False, lifespan=lambda app: _opened(app, house, settings))
    install_problem_handlers(app)
    for room in (models, documents, generate, fine_tune, jobs, health):
        app.include_router(room.router)
    paths = [route.path for route in app.routes if isinstance(route, APIRoute)]
    app.add_middleware(Spelling, paths=paths)
    app.add_middleware(Gate, settings=settings)
    client = TestClient(app, "http://127.0.0.1:3000", raise_server_exceptions=False)
    client.__enter__()  # one event loop for all its requests
    return Service(app, client, house.runtime, house.store, house)


@contextlib.asynccontextmanager
async def _opened(app: FastAPI, house: House, settings: Settings) -> AsyncIterator[None]:
    house.open()
    settings.uploads_dir.mkdir(parents=True, exist_ok=True)
    base_models = BaseModels(settings.base_models_dir, house.store.models)
    runner = LocalRunner()
    submitter, supervisor = open_jobs(settings, house.store, house.runtime, base_models, runner)
    app.state.readiness = Readiness()
    app.state.readiness.services = app.state.services = Services(
        settings=settings,
        store=house.store,
        runtime=house.runtime,
        models=ModelCatalog(house.runtime, house.store, base_models),
        index=house.index,
        importer=house.importer,
        deleter=house.deleter,
        bundled=BundledModels(house.runtime, [], house.folder / "converting"),
        submitter=submitter,
        jobs=supervisor,
    )
    yield
    await house.close()


def close_service(service: Service) -> None:
    """Give everything back."""
    service.client.__exit__(None, None, None)


def settled(service: Service) -> None:
    """Wait until deletes have ended."""
    assert service.client.portal
    service.client.portal.call(service.house.deleter.settled)
