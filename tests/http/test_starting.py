"""The time in which the server listens and the app is still being loaded, over real sockets."""

import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI

from api.__main__ import server_config
from api.errors import CannotStart
from api.http.starting import Starting
from api.routes.health import ReadyResponse
from api.runtime.fair import RETRY_SECONDS

NOT_READY = ReadyResponse(status="not ready", checks={"service": "is loading"}, hints=[])


@dataclass
class Slow:
    """An app that is loaded when it is told to be, and notes what becomes of it."""

    may_load: threading.Event = field(default_factory=threading.Event)
    happened: list[str] = field(default_factory=list)

    def load(self) -> FastAPI:
        assert self.may_load.wait(120)
        app = FastAPI(lifespan=self._lifespan)

        @app.get("/healthz")
        @app.get("/readyz")
        async def probe() -> str:
            return "the app's own"

        @app.get("/order")
        async def order() -> str:
            return "done"

        return app

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        self.happened.append("opened")
        yield
        self.happened.append("closed")


@dataclass
class Serving:
    """A server in a thread."""

    starting: Starting
    thread: threading.Thread
    client: httpx2.Client
    stop: Callable[[], None]


@contextlib.contextmanager
def serving(load: Callable[[], FastAPI]) -> Iterator[Serving]:
    def stop() -> None:
        server.should_exit = True

    starting = Starting(load, stop)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(server_config(starting, shutdown_seconds=5))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        port = listener.getsockname()[1]
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            yield Serving(starting, thread, client, stop)
        stop()
        thread.join()


@pytest.fixture
def slow() -> Iterator[Slow]:
    slow = Slow()
    yield slow
    slow.may_load.set()


def test_who_comes_again_after_a_minute_finds_the_connection_that_was_kept() -> None:
    """Limits and full queues tell clients to wait for up to a minute."""
    assert server_config(Starting(FastAPI, lambda: None), 5).timeout_keep_alive > 60 > RETRY_SECONDS


def test_it_is_alive_before_the_app_is_loaded(slow: Slow) -> None:
    with serving(slow.load) as served:
        assert served.client.get("/healthz").json() == {"status": "alive"}
        slow.may_load.set()
        assert served.client.get("/order").json() == "done"
        assert served.client.get("/healthz").json() == "the app's own"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_it_says_at_once_that_it_is_not_ready_yet(slow: Slow, method: str) -> None:
    with serving(slow.load) as served:
        early = served.client.request(method, "/readyz", headers={"X-Request-ID": "a1"})
        assert (early.status_code, early.headers["retry-after"]) == (503, "2")
        assert early.headers["x-request-id"] == "a1"
        told = ReadyResponse.model_validate_json(early.content) if early.content else None
        assert told == (NOT_READY if method == "GET" else None)
        slow.may_load.set()
        assert served.client.get("/order").json() == "done"
        assert served.client.get("/readyz").json() == "the app's own"


def test_what_is_asked_meanwhile_is_answered_by_the_app(slow: Slow) -> None:
    with serving(slow.load) as served, ThreadPoolExecutor() as others:
        early = others.submit(served.client.get, "/order")
        assert served.client.get("/healthz").json() == {"status": "alive"}
        assert not early.done()
        slow.may_load.set()
        assert early.result().json() == "done"


def test_a_client_that_does_not_wait_for_the_app_takes_nothing_from_the_others(slow: Slow) -> None:
    with serving(slow.load) as served:
        with pytest.raises(httpx2.ReadTimeout):
            served.client.get("/order", timeout=httpx2.Timeout(60, read=0.05))
        slow.may_load.set()
        assert served.client.get("/order").json() == "done"


def test_the_lifespan_of_the_app_is_that_of_the_server(slow: Slow) -> None:
    slow.may_load.set()
    with serving(slow.load) as served:
        assert served.client.get("/order").status_code == 200
        assert slow.happened == ["opened"]
    assert slow.happened == ["opened", "closed"]


def test_a_stop_while_the_app_is_loaded_gives_back_what_it_opens(slow: Slow) -> None:
    with serving(slow.load) as served:
        served.stop()
        slow.may_load.set()
        served.thread.join(timeout=60)
        assert not served.thread.is_alive()
    assert slow.happened == ["opened", "closed"]


def test_an_app_that_cannot_be_loaded_ends_the_server_and_who_waits_is_told() -> None:
    may_fail = threading.Event()

    def load() -> FastAPI:
        assert may_fail.wait(120)
        raise CannotStart("The database is damaged.")

    with serving(load) as served, ThreadPoolExecutor() as others:
        early = others.submit(served.client.get, "/order")
        assert served.client.get("/healthz").status_code == 200
        may_fail.set()
        assert early.result().status_code == 503
        assert early.result().json()["title"] == "Cannot start"
        served.thread.join(timeout=60)
        assert not served.thread.is_alive()
        assert isinstance(served.starting.failure, CannotStart)
