"""One log line a request, with an id that its answer and its errors carry too, and nothing of what was asked."""

import asyncio
import json
import logging
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from starlette.responses import StreamingResponse
from starlette.testclient import TestClient

from api.errors import BackEndFailed
from api.http.observe import Observe, log, log_handler, seen
from api.http.problems import install_problem_handlers
from api.http.refusals import defect_response
from api.http.request_body import read_body
from api.http.sse import while_connected
from tests.events import server_events
from tests.fakes import BreaksOff
from tests.service import Service, listening, open_service

ASKED = {"modelName": "demo", "user_prompt": "a secret question"}


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING", "httpx2")  # the client of the tests
    caplog.set_level("DEBUG")


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [record.request for record in caplog.records if hasattr(record, "request")]


def line(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    (only,) = lines(caplog)
    return only


def test_an_answer_and_its_line_carry_one_id(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    answers = [service.client.get("/healthz") for _ in range(2)]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert [one["id"] for one in lines(caplog)] == ids
    assert ids[0] != ids[1]


def test_the_line_of_an_answer_tells_route_status_time_model_and_tokens(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    assert service.client.post("/Generate/", json=ASKED).status_code == 200
    told = line(caplog)
    assert told["method"] == "POST"
    assert told["route"] == "/generate"
    assert told["status"] == 200
    assert told["duration_ms"] >= 0
    assert told["client"] == "testclient"
    assert told["model"] == "demo"
    assert told["prompt_tokens"] == 4
    assert told["completion_tokens"] == 3
    assert "cut_short" not in told


def test_the_line_of_a_stream_is_written_at_its_end(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with service.client.stream("POST", "/generate", json={**ASKED, "stream": True}) as response:
        events = list(server_events(response))
    usage = events[-1][1]["usage"]
    told = line(caplog)
    assert (told["prompt_tokens"], told["completion_tokens"]) == tuple(usage.values())
    assert "problem" not in told


def test_the_line_names_the_model_however_it_was_named(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service.client.get("/list_documents", params={"modelName": "demo"})
    service.client.get("/show_model/demo")
    service.client.post("/search", json={"modelName": "demo", "query": "x"})
    assert [one["model"] for one in lines(caplog)] == ["demo"] * 3


def test_a_route_is_logged_as_its_template(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service.client.get("/jobs/job_0123456789abcdef")
    service.client.get("/show_model/nobody")
    service.client.put("/jobs/x")
    service.client.get("/nothing/a secret question")
    service.client.get("/docs")
    service.client.get("/swagger/swagger-ui.css")
    told = [(one["route"], one["status"], one.get("problem")) for one in lines(caplog)]
    assert told == [
        ("/jobs/{id}", 404, "Job not found"),
        ("/show_model/{modelName}", 404, "Model not found"),
        ("/jobs/{id}", 405, "Method not allowed"),
        ("-", 404, "Not found"),
        ("/docs", 200, None),
        ("/swagger", 200, None),
    ]
    assert "secret" not in caplog.text


@pytest.mark.parametrize("path", ["/jobs/x", "/nothing", "/generate"])
def test_an_error_carries_the_id_of_its_request(service: Service, path: str) -> None:
    refused = service.client.get(path)
    assert refused.status_code >= 400
    assert refused.json()["instance"] == f"urn:request:{refused.headers['x-request-id']}"


def test_an_error_inside_a_stream_carries_the_id_and_stands_in_the_line(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service.runtime.will_answer(BreaksOff("half an", BackEndFailed("The model died.")))
    with service.client.stream("POST", "/generate", json={**ASKED, "stream": True}) as response:
        events = list(server_events(response))
    name, problem = events[-1]
    assert name == "error"
    assert problem["instance"] == f"urn:request:{response.headers['x-request-id']}"
    told = line(caplog)
    assert told["status"] == 200
    assert told["problem"] == problem["title"]
    assert told["id"] in problem["instance"]


def test_what_the_gate_refuses_carries_the_id_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_service(tmp_path, api_key="the key") as service:
        refused = service.client.post(
            "/generate", json=ASKED, headers={"Authorization": "Bearer a wrong key"}
        )
    assert refused.status_code == 401
    assert refused.json()["instance"] == f"urn:request:{refused.headers['x-request-id']}"
    assert (line(caplog)["status"], line(caplog)["problem"]) == (401, "Wrong key")


def test_neither_a_prompt_nor_a_key_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_service(tmp_path, api_key="k-12345") as service:
        service.client.headers["Authorization"] = "Bearer k-12345"
        service.client.get("/generate", params=ASKED)
        service.client.post("/generate", params=ASKED)
        service.client.post("/generate", json={**ASKED, "stream": True})
        service.client.post("/generate", json={**ASKED, "modelName": "a secret question"})
        service.client.post("/createModel/ada", params={"system": "a secret question"})
        service.client.get("/show_model/a secret question")
    assert len(lines(caplog)) == 6
    written = "\n".join(log_handler("json").format(record) for record in caplog.records)
    for text in (caplog.text, written):
        assert "secret" not in text
        assert "k-12345" not in text


@pytest.mark.parametrize("id", ["3f2a", "a-B.c_9", "x" * 128])
def test_the_id_of_a_caller_is_kept(service: Service, id: str) -> None:
    assert (
        service.client.get("/healthz", headers={"X-Request-ID": id}).headers["x-request-id"] == id
    )


@pytest.mark.parametrize("id", ["", "x" * 129, "a b", "a;b", 'a"b', "ä".encode(), b"a\tb"])
def test_an_id_that_is_none_is_replaced(service: Service, id: str | bytes) -> None:
    sent = id if isinstance(id, bytes) else id.encode()
    answer = service.client.get("/healthz", headers={b"X-Request-ID": sent})
    assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])


def test_two_ids_are_none(service: Service) -> None:
    twice = [("X-Request-ID", "a"), ("X-Request-ID", "b")]
    assert service.client.get("/healthz", headers=twice).headers["x-request-id"] not in {"a", "b"}


@pytest.fixture
def defective() -> Iterator[TestClient]:
    """An app with a defect, before and after its answer has begun."""
    app = FastAPI()

    @app.get("/before")
    async def before() -> None:
        raise KeyError("inside")

    @app.get("/after")
    async def after() -> StreamingResponse:
        async def parts() -> Any:
            yield b"half"
            raise KeyError("inside")

        return StreamingResponse(parts())

    app.add_middleware(Observe, on_defect=defect_response)
    with TestClient(app) as client:
        yield client


def test_a_defect_is_logged_once_with_its_id_and_told_without_its_inside(
    defective: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    told = defective.get("/before")
    assert told.status_code == 500
    assert told.json()["instance"] == f"urn:request:{told.headers['x-request-id']}"
    assert "inside" not in told.text
    assert [record.levelname for record in caplog.records if record.exc_info] == ["ERROR"]
    assert line(caplog)["status"] == 500


def test_an_answer_that_breaks_off_is_said_to_be_cut_short(
    defective: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    defective.get("/after")
    assert line(caplog)["status"] == 200
    assert line(caplog)["cut_short"] == "yes"


def test_a_client_that_goes_away_is_no_malformed_request(caplog: pytest.LogCaptureFixture) -> None:
    app = FastAPI()
    install_problem_handlers(app)

    @app.get("/slow")
    async def slow(request: Request) -> None:
        await while_connected(request, asyncio.sleep(60))

    @app.post("/order")
    async def order(request: Request) -> None:
        await read_body(request, max_bytes=100)

    app.add_middleware(Observe, on_defect=defect_response)
    with listening(app) as port:
        for sent in (b"GET /slow HTTP/1.1", b"POST /order HTTP/1.1\r\nContent-Length: 9"):
            with socket.create_connection(("127.0.0.1", port)) as line:
                line.sendall(sent + b"\r\nHost: a\r\n\r\n")
                time.sleep(0.2)
    told = [(one["route"], one["status"], one["problem"]) for one in lines(caplog)]
    assert told == [("/slow", 499, "Client went away"), ("/order", 499, "Client went away")]


def formatted(form: Any, message: str, **extra: Any) -> str:
    record = logging.LogRecord("api", logging.INFO, "f", 1, message, (), None)
    vars(record).update(extra)
    return log_handler(form).format(record)


def test_a_line_of_json_is_one_object(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    service.client.post("/generate", json=ASKED)
    (record,) = (record for record in caplog.records if hasattr(record, "request"))
    written = log_handler("json").format(record)
    assert "\n" not in written
    told = json.loads(written)
    assert told["level"] == "info"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", told["time"])
    assert {**told, **line(caplog)} == told
    assert json.loads(formatted("json", "two\nlines"))["message"] == "two\nlines"


def test_a_value_cannot_pass_for_another_field(caplog: pytest.LogCaptureFixture) -> None:
    log({"method": "GET", "route": "-", "status": 200, "client": "a status=500\nid=x"})
    assert caplog.messages == [r'GET - 200 client="a status=500\nid=x"']


def test_other_lines_of_a_request_carry_its_id_and_those_after_it_do_not(caplog: Any) -> None:
    written: list[str] = []
    kept = []

    async def inside(scope: Any, receive: Any, send: Any) -> None:
        written.append(formatted("text", "something"))
        kept.append(seen())
        await defect_response(scope["path"])(scope, receive, send)

    client = TestClient(Observe(inside, defect_response))
    id = client.get("/").headers["x-request-id"]
    assert written[0].endswith(f"something id={id}")
    assert kept[0].is_over
    assert formatted("text", "something").endswith("something")


def test_the_line_of_a_request_within_another_names_both(caplog: pytest.LogCaptureFixture) -> None:
    async def inside(scope: Any, receive: Any, send: Any) -> None:
        log({"method": "POST", "route": "/inner", "status": 200, "id": "one"})
        record = caplog.records[-1]
        assert log_handler("text").format(record).endswith("id=one within=two")
        told = json.loads(log_handler("json").format(record))
        assert (told["id"], told["within"]) == ("one", "two")
        await defect_response(scope["path"])(scope, receive, send)

    client = TestClient(Observe(inside, defect_response))
    assert client.get("/", headers={"x-request-id": "two"}).status_code == 500
    assert "A defect:" not in caplog.messages
