"""The service's own app over back ends of a test: what a route, the middleware and a start do is the real thing.

`serving` runs the app; `open_service` gives all routes over the fake runtime, with vectors in memory and a queue
that never starts; `listening_service` gives the same behind a real port.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from api.__main__ import server_config
from api.app import Open, create_app
from api.opening import services_over
from api.runners.local import LocalRunner
from api.services import Services
from api.settings import Settings
from api.store import Store
from tests.databases import migrated
from tests.documents.house import BOUNDS, House
from tests.fakes import FakeRuntime

OPENING_SECONDS = 60
SHUTDOWN_SECONDS = 5
ADDRESS = "http://127.0.0.1:3000"


@dataclass
class Service:
    """A client and what stands behind it."""

    app: FastAPI
    client: TestClient
    runtime: FakeRuntime
    store: Store
    house: House


def settings_of(folder: Path, **values: object) -> Settings:
    """Settings over a folder, with the bounds of a house."""
    bounds = {
        "max_pages": BOUNDS.pages,
        "max_document_characters": BOUNDS.characters,
        "extract_seconds": BOUNDS.seconds,
        "chunk_tokens": 60,
        "chunk_overlap_tokens": 8,
    }
    return Settings.model_validate({"data_dir": folder, **bounds, **values})


async def find_models(services: Services) -> None:
    """Instead of all that a start does: the bundled models are those that the runtime has."""
    for name in services.bundled.states():
        await services.bundled.prepare(name)


class Opening:
    """An app that says when it has opened."""

    def __init__(self, settings: Settings, open: Open) -> None:
        self._opened = threading.Event()
        migrated(settings.database_path)
        self.app = create_app(settings, open, self._prepare)

    async def _prepare(self, services: Services) -> None:
        await find_models(services)
        self._opened.set()

    def wait(self) -> None:
        """Until requests are answered; blocks its thread."""
        assert self._opened.wait(OPENING_SECONDS), self.app.state.readiness.opening


@contextlib.contextmanager
def serving(settings: Settings, open: Open) -> Iterator[TestClient]:
    """A client of the app, which has opened; one event loop for all its requests."""
    opening = Opening(settings, open)
    with TestClient(opening.app, ADDRESS, raise_server_exceptions=False) as client:
        opening.wait()
        yield client


def over_house(house: House) -> Open:
    """Opens an app's services over a house of documents, which is opened with them."""

    async def open(settings: Settings, store: Store, stack: contextlib.AsyncExitStack) -> Services:
        house.open(store)
        stack.callback(house.index.close)
        services = await services_over(
            settings, store, stack, house.runtime, house.index, LocalRunner()
        )
        house.importer, house.deleter = services.importer, services.deleter
        house.reembedder = services.reembedder
        return services

    return open


@contextlib.contextmanager
def serving_house(house: House, settings: Settings) -> Iterator[TestClient]:
    """A client of the app over a house of documents."""
    with serving(settings, over_house(house)) as client:
        yield client


@contextlib.contextmanager
def listening(app: ASGIApp) -> Iterator[int]:
    """The port of a real server on loopback, in a thread of this process."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(server_config(app, SHUTDOWN_SECONDS))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@contextlib.contextmanager
def listening_service(
    folder: Path, runtime: FakeRuntime | None = None, **values: object
) -> Iterator[tuple[int, House]]:
    """All routes over a fake runtime behind a real port; `values` are settings."""
    house = House(folder, runtime=runtime or FakeRuntime())
    opening = Opening(settings_of(folder, **values), over_house(house))
    with listening(opening.app) as port:
        opening.wait()
        yield port, house


@contextlib.contextmanager
def open_service(folder: Path, **values: object) -> Iterator[Service]:
    """Everything over a folder without documents; `values` are settings."""
    house = House(folder)
    bounds = {"max_upload_bytes": 200_000, "max_body_bytes": 500_000}
    with serving_house(house, settings_of(folder, **{**bounds, **values})) as client:
        assert isinstance(client.app, FastAPI)
        yield Service(client.app, client, house.runtime, house.store, house)


def settled(service: Service) -> None:
    """Wait until deletes have ended."""
    assert service.client.portal
    service.client.portal.call(service.house.deleter.settled)
