"""A service over the fake runtime: real routes, store, words and importer; vectors in memory."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from fastapi import FastAPI
from starlette.testclient import TestClient

from api.base_models import BaseModels
from api.bundled import BundledModels
from api.models import ModelCatalog
from api.problems import install_problem_handlers
from api.readiness import Readiness
from api.routes import documents, health, models
from api.services import Services
from api.settings import Settings
from api.store import Store
from tests.documents.house import House
from tests.fakes import FakeRuntime

NOBODY = cast(Any, None)


@dataclass
class Service:
    """A client and what stands behind it."""

    app: FastAPI
    client: TestClient
    runtime: FakeRuntime
    store: Store
    house: House


def open_service(folder: Path) -> Service:
    """Everything but jobs and answers, over an empty folder."""
    house = House(folder)
    app = FastAPI(redirect_slashes=False, lifespan=lambda app: _opened(app, house))
    install_problem_handlers(app)
    for routes in (models, documents, health):
        app.include_router(routes.router)
    client = TestClient(app, raise_server_exceptions=False)
    client.__enter__()  # one event loop for all its requests
    return Service(app, client, house.runtime, house.store, house)


@contextlib.asynccontextmanager
async def _opened(app: FastAPI, house: House) -> AsyncIterator[None]:
    house.open()
    settings = Settings(data_dir=house.folder, max_upload_bytes=200_000)
    settings.uploads_dir.mkdir(parents=True, exist_ok=True)
    base_models = BaseModels(settings.base_models_dir, house.store.models)
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
        submitter=NOBODY,
        jobs=NOBODY,
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
