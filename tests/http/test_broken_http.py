"""What is no HTTP, over real sockets: a clear answer, a closed connection, and a server that goes on."""

import json
import socket
from collections.abc import Iterator
from http.client import HTTPResponse
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from pydantic import BaseModel

from api.http.gate import Gate
from api.http.observe import Observe
from api.http.problems import install_problem_handlers
from api.http.refusals import defect_response
from api.http.request import request_model
from api.http.spelling import Spelling
from api.settings import Settings
from tests.service import listening

HOST = b"Host: 127.0.0.1\r\n"
POST = b"POST /order HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
GET = b"GET /order HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


class Order(BaseModel):
    """What the only route takes."""

    text: str


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    settings = Settings(data_dir=tmp_path_factory.mktemp("broken"), max_body_bytes=100_000)
    app = FastAPI(redirect_slashes=False)
    app.state.services = SimpleNamespace(settings=settings)
    install_problem_handlers(app)

    @app.post("/order")
    async def order(order: Annotated[Order, Depends(request_model(Order))]) -> str:
        return order.text

    app.add_middleware(Spelling, paths=["/order"])
    app.add_middleware(Gate, settings=settings)
    app.add_middleware(Observe, on_defect=defect_response)
    with listening(app) as port:
        yield port


def answer(line: socket.socket) -> tuple[int, Any]:
    """The next answer: its status, and the problem it carries."""
    response = HTTPResponse(line)
    response.begin()
    body = json.loads(response.read())
    if response.status >= 400:
        assert response.getheader("content-type") == "application/problem+json"
        assert body["status"] == response.status
        assert body["detail"]
        assert body["instance"] == f"urn:request:{response.getheader('x-request-id')}"
    return response.status, body


def is_closed(line: socket.socket) -> bool:
    """Whether the server has hung up."""
    try:
        return line.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"hello there\r\n\r\n",
        b"GET /order\r\n\r\n",
        b"GET /order HTTP/1.1\r\n\r\n",
        GET + HOST + b"\r\n",
        GET + b"nonsense\r\n\r\n",
        GET + b"X: a\x00b\r\n\r\n",
        b"GET /\xe4 HTTP/1.1\r\n" + HOST + b"\r\n",
        POST + b"Content-Length: abc\r\n\r\n",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\n",
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        CHUNKED + b"zz\r\nabc\r\n",
        CHUNKED + b"3\r\nabcdef\r\n0\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_and_the_connection_closed(port: int, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
        line.sendall(sent)
        assert answer(line)[0] == 400
        assert is_closed(line)


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        GET + b"X: " + b"a" * 100_000 + b"\r\n\r\n",
        GET + b"X: aaaaaaaaaaaaaaaa\r\n" * 5000 + b"\r\n",
    ],
    ids=["path", "header", "headers"],
)
def test_a_head_over_its_bound_is_refused(port: int, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
        line.sendall(sent)
        assert answer(line)[0] == 431


def test_a_declared_length_over_the_bound_is_refused_before_the_body_comes(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
        line.sendall(POST + b"Expect: 100-continue\r\nContent-Length: 9999999999\r\n\r\n")
        assert answer(line)[0] == 413


def test_a_client_that_sends_all_of_a_refused_body_still_reads_why(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
        line.sendall(POST + b"Content-Length: 20000000\r\n\r\n")
        line.sendall(b"x" * 20_000_000)
        assert answer(line)[0] == 413
        line.sendall(GET + b"\r\n")
        assert answer(line)[0] == 405


def test_a_refused_request_leaves_the_connection_usable(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
        for body, status in ((b'{"text":', 400), (b'{"text": "a"}', 200), (b"{}", 422)):
            line.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            assert answer(line)[0] == status


def test_a_good_request_is_answered_before_the_bad_one_behind_it(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
        line.sendall(POST + b'Content-Length: 13\r\n\r\n{"text": "a"}' + b"nonsense\r\n\r\n")
        both = b"".join(iter(lambda: line.recv(65536), b""))  # until the server hangs up
    assert 0 <= both.find(b"HTTP/1.1 200") < both.find(b"HTTP/1.1 400")


def test_a_client_that_leaves_in_the_middle_of_its_body_harms_nobody(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(10):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
            line.sendall(POST + b'Content-Length: 5000\r\n\r\n{"text"')
    with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
        line.sendall(POST + b'Content-Length: 13\r\n\r\n{"text": "a"}')
        assert answer(line) == (200, "a")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_websocket_is_not_spoken_here(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
        line.sendall(GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert answer(line)[0] == 405


def test_what_is_no_http_has_its_line_in_the_log(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "api")
    with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
        line.sendall(b"a secret\r\n\r\n")
        _, problem = answer(line)
    (told,) = [vars(record)["request"] for record in caplog.records if hasattr(record, "request")]
    assert (told["status"], told["client"]) == (400, "127.0.0.1")
    assert problem["instance"].endswith(told["id"])
    assert "secret" not in caplog.text
