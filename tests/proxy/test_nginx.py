"""Behind a real nginx with the very blocks of `docs/behind-a-proxy.md`: host, path, TLS, streams, uploads, caller."""

import asyncio
import logging
import ssl
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import psutil
import pytest

from api.runtime import Piece
from tests.documents.pdfs import pdf
from tests.events import server_events
from tests.fakes import FakeRuntime
from tests.listening import reserved
from tests.proxy.nginx import (
    HOST,
    make_certificate,
    own_server,
    running_nginx,
    server_as_delivered,
    server_with_path,
)
from tests.service import listening_service

CALLER = "127.0.0.5"
"""Another address of this machine, so that the caller and the proxy are two."""
UPLOAD_BYTES = 200 * 2**20
PIECE_BYTES = 2**20
ASKED = {"modelName": "demo", "user_prompt": "one two three"}


class Hesitant(FakeRuntime):
    """Says its first word, and the next ones when it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go_on = threading.Event()

    async def chat(self, *asked: Any, **limits: Any) -> AsyncGenerator[Piece, None]:
        """The fake's pieces, with a pause after the first."""
        async for piece in super().chat(*asked, **limits):
            yield piece
            while not self.may_go_on.is_set():
                await asyncio.sleep(0.01)


@dataclass
class Proxied:
    """Clients of the service behind nginx: under a name of its own, under a path, and as nginx is delivered."""

    own: httpx2.Client
    under_path: httpx2.Client
    delivered: httpx2.Client
    runtime: Hesitant


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    folder = tmp_path_factory.mktemp("proxied")
    trust = ssl.create_default_context()
    make_certificate(folder).configure_trust(trust)
    runtime = Hesitant()
    with (
        listening_service(folder / "data", runtime, allowed_hosts=[HOST]) as (port, _),
        reserved() as own,
        reserved() as with_path,
        reserved() as delivered,
    ):
        servers = [
            own_server(folder, own, port),
            server_with_path(with_path, port),
            server_as_delivered(delivered, port),
        ]
        with running_nginx(folder, "\n".join(servers), own, with_path, delivered):
            transport = httpx2.HTTPTransport(verify=trust, local_address=CALLER)
            with (
                httpx2.Client(
                    base_url=f"https://127.0.0.1:{own}",
                    headers={"Host": HOST},
                    transport=NamedTransport(transport),
                    timeout=60,
                ) as to_own,
                _client(f"http://127.0.0.1:{with_path}/llm") as below_path,
                _client(f"http://127.0.0.1:{delivered}") as to_delivered,
            ):
                yield Proxied(to_own, below_path, to_delivered, runtime)


def _client(url: str) -> httpx2.Client:
    return httpx2.Client(base_url=url, headers={"Host": HOST}, timeout=60)


class NamedTransport(httpx2.BaseTransport):
    """Connects to an address and asks TLS for the page's host name there."""

    def __init__(self, inner: httpx2.BaseTransport) -> None:
        self._inner = inner

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send it."""
        request.extensions["sni_hostname"] = HOST
        return self._inner.handle_request(request)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "api")
    return caplog


def line(logged: pytest.LogCaptureFixture, id: str) -> dict[str, Any]:
    """The log line of one request; it is written a moment after its answer."""
    deadline = time.monotonic() + 60
    while True:
        for record in logged.records:
            if getattr(record, "request", {}).get("id") == id:
                told: dict[str, Any] = vars(record)["request"]
                return told
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_with_tls_and_a_name_of_its_own_the_service_answers(proxied: Proxied) -> None:
    assert proxied.own.get("/readyz").status_code == 200
    origin = {"Origin": f"https://{HOST}", "Sec-Fetch-Site": "same-origin"}
    proxied.runtime.may_go_on.set()
    assert proxied.own.post("/generate", json=ASKED, headers=origin).json()["message"]
    foreign = proxied.own.post("/generate", json=ASKED, headers={"Origin": "https://evil.test"})
    assert foreign.status_code == 403


def test_another_name_is_refused_and_the_setting_named(proxied: Proxied) -> None:
    refused = proxied.own.get("/list_models", headers={"Host": "other.example.org"})
    assert refused.status_code == 421
    assert "LLM_FASTAPI_ALLOWED_HOSTS" in refused.json()["detail"]


def test_as_nginx_is_delivered_the_page_of_a_listed_host_may_call(proxied: Proxied) -> None:
    proxied.runtime.may_go_on.set()
    origin = {"Origin": f"https://{HOST}", "Sec-Fetch-Site": "same-origin"}
    assert proxied.delivered.post("/generate", json=ASKED, headers=origin).status_code == 200
    origin["Origin"] = "https://evil.test"
    assert proxied.delivered.post("/generate", json=ASKED, headers=origin).status_code == 403


@pytest.mark.parametrize("way", ["own", "under_path"])
def test_the_first_event_arrives_before_the_last_is_made(proxied: Proxied, way: str) -> None:
    proxied.runtime.may_go_on.clear()
    client: httpx2.Client = getattr(proxied, way)
    with client.stream("POST", "/generate", json={**ASKED, "stream": True}) as response:
        events = server_events(response)
        assert next(events) == ("token", {"text": "one"})
        assert proxied.runtime.open_streams == 1
        proxied.runtime.may_go_on.set()
        assert [name for name, _ in events][-1] == "done"


def test_an_upload_of_200_mb_passes_and_memory_stays_flat(proxied: Proxied) -> None:
    boundary = "a-boundary"
    head = (
        f"--{boundary}\r\nContent-Disposition: form-data; name=file; filename=large.pdf\r\n"
        "Content-Type: application/pdf\r\n\r\n%PDF-1.7\n"
    ).encode()
    tail = f"\r\n--{boundary}--\r\n".encode()
    memory = psutil.Process()
    before = memory.memory_info().rss
    most = 0

    def body() -> Iterator[bytes]:
        nonlocal most
        yield head
        for _ in range(UPLOAD_BYTES // PIECE_BYTES):
            yield bytes(PIECE_BYTES)
            most = max(most, memory.memory_info().rss - before)
        yield tail

    answer = proxied.own.post(
        "/importDocument",
        params={"modelName": "demo"},
        content=body(),
        headers={
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(head) + UPLOAD_BYTES + len(tail)),
        },
    )
    most = max(most, memory.memory_info().rss - before)
    assert answer.status_code == 422, answer.text
    assert answer.json()["title"] == "Document cannot be used"
    assert most < UPLOAD_BYTES / 4


def test_the_log_has_the_caller_and_not_what_it_pretends(
    proxied: Proxied, logged: pytest.LogCaptureFixture
) -> None:
    answer = proxied.own.get("/healthz", headers={"X-Forwarded-For": "203.0.113.9"})
    assert line(logged, answer.headers["x-request-id"])["client"] == CALLER


def test_nginx_and_the_service_log_one_id(
    proxied: Proxied, logged: pytest.LogCaptureFixture
) -> None:
    chosen = proxied.own.get("/healthz", headers={"X-Request-ID": "chosen-by-the-caller"})
    id = chosen.headers["x-request-id"]
    assert len(id) == 32  # nginx's $request_id
    assert line(logged, id)["route"] == "/healthz"


def test_under_a_path_page_description_and_parts_are_found(proxied: Proxied) -> None:
    page = proxied.under_path.get("/docs")
    assert page.status_code == 200
    for part in ("swagger/swagger-ui-bundle.js", "openapi.json"):
        assert part in page.text
        assert proxied.under_path.get(f"/{part}").status_code == 200
    assert proxied.under_path.head("/docs").status_code == 200


def test_under_a_path_a_location_can_be_followed(proxied: Proxied) -> None:
    answer = proxied.under_path.post(
        "/importDocument",
        params={"modelName": "demo", "wait": "false"},
        files={"file": ("a.pdf", pdf("A page."))},
    )
    assert answer.status_code == 202
    assert answer.headers["location"].startswith("/llm/documents/")
    followed = proxied.under_path.get(str(answer.url.join(answer.headers["location"])))
    assert followed.status_code == 200


@pytest.mark.parametrize("way", ["own", "under_path"])
def test_a_slash_inside_a_name_passes(proxied: Proxied, way: str) -> None:
    client: httpx2.Client = getattr(proxied, way)
    unknown = client.get("/show_model/someone%2Fmodel")
    assert (unknown.status_code, unknown.json()["title"]) == (404, "Model not found")
    assert "'someone/model'" in unknown.json()["detail"]
