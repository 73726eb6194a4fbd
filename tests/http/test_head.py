"""HEAD over a real server: what GET says of its answer, and no body."""

import asyncio
from collections.abc import AsyncGenerator, Iterator

import httpx2
import pytest
from fastapi import FastAPI

from api.http.head import Head
from api.http.observe import Observe
from api.http.refusals import defect_response
from api.http.sse import EventStream, ServerEvent
from tests.service import listening, listening_service


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    folder = tmp_path_factory.mktemp("head")
    with (
        listening_service(folder) as (port, _),
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        yield client


@pytest.mark.parametrize(
    "path",
    ["/healthz", "/readyz", "/docs", "/openapi.json", "/swagger/swagger-ui.css", "/list_models"],
)
def test_what_answers_get_answers_head(client: httpx2.Client, path: str) -> None:
    got, asked = client.get(path), client.head(path)
    assert asked.status_code == got.status_code == 200
    assert asked.content == b""
    for header in ("content-type", "content-length"):
        assert asked.headers[header] == got.headers[header]


def test_a_refusal_has_the_same_status_without_its_body(client: httpx2.Client) -> None:
    assert client.head("/nothing").status_code == 404
    assert client.head("/generate").status_code == 405
    assert client.head("/nothing").content == b""


def test_a_stream_ends_with_its_headers() -> None:
    closed = []

    async def events() -> AsyncGenerator[ServerEvent, None]:
        try:
            yield ServerEvent("one", 1)
            await asyncio.sleep(60)
        finally:
            closed.append(True)

    app = FastAPI()
    app.add_api_route("/events", lambda: EventStream(events()))
    app.add_middleware(Head)
    app.add_middleware(Observe, on_defect=defect_response)
    with listening(app) as port:
        asked = httpx2.head(f"http://127.0.0.1:{port}/events", timeout=30)
    assert asked.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert closed
