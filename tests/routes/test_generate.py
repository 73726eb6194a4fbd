"""generate and search over HTTP: whole, streamed, one answer a document, refused, abandoned."""

import asyncio
import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from starlette.testclient import TestClient

from api.app import Open
from api.errors import BackEndFailed, ModelNotFound
from api.opening import services_over
from api.rag.prompts import REFUSAL
from api.runners.local import LocalRunner
from api.runtime import Message
from api.runtime.training import Training
from api.services import Services
from api.settings import Settings
from api.store import Store
from tests.databases import open_migrated
from tests.fakes import BreaksOff, FakeRuntime
from tests.rag.conftest import HANDBOOK, Library
from tests.service import Opening, Service, serving

QUESTION = "What is the warranty of the Vanta heater?"


def settings_of(folder: Path) -> Settings:
    return Settings(data_dir=folder, expansions=1, passages=2)


def open_over(library: Library) -> Open:
    """Opens the services over a library; what the app opened itself stays empty."""

    async def open(settings: Settings, _: Store, stack: contextlib.AsyncExitStack) -> Services:
        seams = (library.runtime, library.index, LocalRunner())
        return await services_over(settings, library.store, stack, *seams)

    return open


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """Two documents; no test changes them."""
    folder = tmp_path_factory.mktemp("library")
    store = open_migrated(folder / "state.sqlite3")
    library = Library(store, FakeRuntime(), folder / "lexical")
    asyncio.run(library.add("handbook.pdf", HANDBOOK))
    asyncio.run(library.add("prices.pdf", ["The Vanta heater costs 99 euros."]))
    yield library
    library.index.close()
    store.close()


@pytest.fixture
def library(shelf: Library) -> Library:
    """The documents, with a runtime that nobody has asked yet."""
    shelf.serve_with(FakeRuntime())
    return shelf


@pytest.fixture
def client(library: Library, tmp_path: Path) -> Iterator[TestClient]:
    with serving(settings_of(tmp_path), open_over(library)) as client:
        yield client


def knows_the_warranty(messages: Sequence[Message]) -> str:
    """Find the passage with the value and cite it."""
    number = re.search(r"\[(\d)\] The Vanta heater has", messages[-1].content)
    return f"It is 24 months [{number[1]}]." if number else REFUSAL


def events_in(text: str) -> list[tuple[str, Any]]:
    """Name and data of each server-sent event."""
    events = []
    for block in text.strip().split("\n\n"):
        name, data = block.split("\n")
        events.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return events


@pytest.mark.parametrize("source", ["params", "data", "json"])
def test_plain_chat_from_query_form_and_json(
    client: TestClient, library: Library, source: str
) -> None:
    library.runtime.will_answer("Hello there")
    sent: dict[str, Any] = {
        source: {"user_prompt": "Hi", "modelName": "demo", "temperature": 0.5, "stop": ["END"]}
    }
    response = client.post("/generate", **sent)
    assert response.status_code == 200, response.text
    assert response.json()["message"] == "Hello there"
    assert response.json()["citations"] == []
    assert library.runtime.history[0].options.temperature == 0.5
    assert library.runtime.history[0].options.stop == ("END",)


def test_a_value_is_read_out_of_an_answer_that_has_its_citations(
    client: TestClient, library: Library
) -> None:
    library.runtime.rule = knows_the_warranty
    members = {"months": {"type": "integer"}}
    sent = {
        "user_prompt": QUESTION,
        "modelName": "demo",
        "documents": ["handbook"],
        "expand": False,
        "response_schema": {"type": "object", "properties": members, "required": ["months"]},
    }
    answer = client.post("/generate", json=sent).json()
    assert (len(answer["citations"]), answer["value"], answer["reason"]) == (1, {"months": 1}, None)
    assert answer["message"] in library.runtime.history[-1].messages[-1].content
    library.runtime.will_answer(REFUSAL)
    answer = client.post("/generate", json=sent).json()
    assert (answer["value"], answer["reason"]) == (None, "The documents hold no answer.")


def test_documents_give_citations_and_a_receipt(client: TestClient, library: Library) -> None:
    library.runtime.will_answer("How long is the Vanta heater covered?")
    library.runtime.rule = knows_the_warranty
    response = client.post(
        "/generate",
        params={"user_prompt": QUESTION, "modelName": "demo", "documents": ["handbook", "prices"]},
    )
    answer = response.json()
    (citation,) = answer["citations"]
    assert answer["message"] == f"It is 24 months [{citation['n']}]."
    assert answer["citations"] == [
        {
            "n": citation["n"],
            "document": "handbook.pdf",
            "document_id": library.store.documents.find(library.scope(), ["handbook"])[0].id,
            "page": 1,
            "quote": "The Vanta heater has a warranty of 24 months.",
            "label": "",
            "place": {"page_width": None, "page_height": None, "rectangles": []},
            "supported": True,
        }
    ]
    assert answer["receipt"]["queries"] == [QUESTION, "How long is the Vanta heater covered?"]
    assert len(answer["receipt"]["passages"]) == 2
    assert answer["receipt"]["left_out"][0]["reason"] == "rank"


def test_the_stream_is_the_whole_answer_in_events(client: TestClient, library: Library) -> None:
    asked = {"user_prompt": QUESTION, "modelName": "demo", "documents": "*"}
    library.runtime.will_answer("", "It is 24 months [1].", "", "It is 24 months [1].")
    whole = client.post("/generate", params=asked).json()
    response = client.post("/generate", params={**asked, "stream": "true"})
    assert response.headers["content-type"].startswith("text/event-stream")
    events = events_in(response.text)
    names = [name for name, _ in events]
    assert names == ["token"] * 5 + ["citation", "receipt", "done"]
    assert "".join(data["text"] for name, data in events if name == "token") == whole["message"]
    assert events[-3][1] == whole["citations"][0]
    assert events[-2][1] == whole["receipt"]
    assert events[-1][1]["finish_reason"] == "stop"
    assert events[-1][1]["usage"]["completion_tokens"] == 5


def test_one_answer_a_document_has_the_documents_as_keys(
    client: TestClient, library: Library
) -> None:
    library.runtime.will_answer("", "24 months [1].", REFUSAL)
    response = client.post(
        "/generate",
        json={
            "user_prompt": QUESTION,
            "modelName": "demo",
            "documents": ["*"],
            "per_document": True,
        },
    )
    answer = response.json()
    assert answer["handbook.pdf"] == "24 months [1]."
    assert answer["prices.pdf"] == REFUSAL
    assert answer["citations"]["handbook.pdf"][0]["page"] == 1
    assert answer["receipts"]["prices.pdf"]["refused"] is True


def test_documents_of_one_name_are_told_apart_by_their_ids(tmp_path: Path) -> None:
    store = open_migrated(tmp_path / "state.sqlite3")
    library = Library(store, FakeRuntime(), tmp_path / "lexical")
    shared = asyncio.run(library.add("a.pdf", ["For all: the heater costs 99 euros."], model=""))
    odd = asyncio.run(library.add("citations", ["The lamp costs 30 euros."]))
    asyncio.run(library.add("a.pdf", ["Its own: the heater costs 11 euros."]))
    library.runtime.will_answer("", "First [1].", "Second [1].", "Third [1].")
    with serving(settings_of(tmp_path / "app"), open_over(library)) as client:
        response = client.post(
            "/generate",
            json={
                "user_prompt": QUESTION,
                "modelName": "demo",
                "documents": ["*"],
                "per_document": True,
            },
        )
    answer = response.json()
    keys = {"a.pdf", f"a.pdf ({shared.id})", f"citations ({odd.id})"}
    assert answer.keys() == {*keys, "citations", "receipts"}
    assert answer["citations"].keys() == answer["receipts"].keys() == keys
    for key, one in answer["citations"].items():
        assert (one[0]["document_id"] == shared.id) == (key == f"a.pdf ({shared.id})")
        assert answer["receipts"][key]["passages"][0]["document_id"] == one[0]["document_id"]
    library.index.close()
    store.close()


# A conversation


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


TALK = [turn("user", QUESTION), turn("assistant", "It is 24 months [1].")]
FOLLOW_UP = "And of the lamp?"
STAND_ALONE = "What is the warranty of the Orlo lamp?"


def knows_the_lamp(messages: Sequence[Message]) -> str:
    """Find the passage in the last turn and cite it."""
    number = re.search(r"\[(\d)\] The Orlo lamp has", messages[-1].content)
    return f"It is 36 months [{number[1]}]." if number else REFUSAL


@pytest.mark.parametrize(
    "asked",
    [
        {"messages": [*TALK, turn("user", FOLLOW_UP)]},
        {"messages": TALK, "user_prompt": FOLLOW_UP},
        {"messages": [turn("system", "Be brief."), *TALK], "user_prompt": FOLLOW_UP},
        {"messages": TALK, "user_prompt": FOLLOW_UP, "system": "Be brief."},
    ],
    ids=["messages", "user_prompt", "system_turn", "system"],
)
@pytest.mark.parametrize("manner", [{}, {"stream": True}, {"per_document": True}])
def test_a_follow_up_question_is_answered_from_documents(
    client: TestClient, library: Library, asked: dict[str, Any], manner: dict[str, Any]
) -> None:
    library.runtime.will_answer(STAND_ALONE)
    library.runtime.rule = knows_the_lamp
    body = {**asked, **manner, "modelName": "demo", "documents": ["handbook"]}
    response = client.post("/generate", json=body)
    assert response.status_code == 200, response.text
    if "stream" in manner:
        events = events_in(response.text)
        citation = next(data for name, data in events if name == "citation")
        receipt = next(data for name, data in events if name == "receipt")
    elif "per_document" in manner:
        citation = response.json()["citations"]["handbook.pdf"][0]
        receipt = response.json()["receipts"]["handbook.pdf"]
    else:
        citation, receipt = response.json()["citations"][0], response.json()["receipt"]
    assert citation["quote"] == "The Orlo lamp has a warranty of 36 months."
    assert receipt["queries"] == [STAND_ALONE, FOLLOW_UP]
    assert receipt["turns_left_out"] == 0
    *before, last = library.runtime.history[-1].messages
    system = [Message("system", "Be brief.")] if "brief" in str(asked) else []
    assert before == [*system, *(Message(**turn) for turn in TALK)]  # type: ignore[arg-type]
    assert last.content.endswith(f"Question: {FOLLOW_UP}")


@pytest.mark.parametrize("source", ["params", "data", "json"])
def test_a_conversation_from_query_form_and_json(
    client: TestClient, library: Library, source: str
) -> None:
    turns: Any = [*TALK, turn("user", "Thanks")]
    sent = {"messages": turns if source == "json" else json.dumps(turns), "modelName": "demo"}
    response = client.post("/generate", **{source: sent})  # type: ignore[arg-type]
    assert response.status_code == 200, response.text
    assert response.json()["message"] == "Thanks"
    assert [message.role for message in library.runtime.history[0].messages] == [
        *("user", "assistant", "user")
    ]


@pytest.mark.parametrize("messages", [[], None])
def test_a_conversation_that_only_begins_is_no_error(
    client: TestClient, messages: list[dict[str, str]] | None
) -> None:
    body = {"messages": messages, "user_prompt": "Hello", "modelName": "demo"}
    assert client.post("/generate", json=body).json()["message"] == "Hello"


@pytest.mark.parametrize(
    ("asked", "where", "said"),
    [
        ({}, "user_prompt", "messages"),
        ({"messages": []}, "user_prompt", "messages"),
        ({"messages": None, "user_prompt": None}, "user_prompt", "messages"),
        ({"messages": TALK}, "messages", "last turn is the assistant's"),
        ({"messages": [turn("system", "x")]}, "messages", "last turn is the system's"),
        ({"messages": [turn("tool", "x")]}, "messages.0.role", "'user'"),
        ({"messages": [turn("user", " ")]}, "messages.0.content", "white space"),
        ({"messages": [turn("user", "")]}, "messages.0.content", "At least 1"),
        ({"messages": [{"role": "user"}]}, "messages.0.content", "Required"),
        ({"messages": [{**turn("user", "x"), "name": "y"}]}, "messages.0.name", "role, content"),
        ({"messages": "Hello"}, "messages", "A list"),
        ({"messages": [turn("user", "x")] * 1001}, "messages", "At most 1000"),
        ({"messages": [turn("user", "x" * 300_000)] * 2}, "messages", "500000 are allowed"),
        ({"messages": [*TALK, turn("system", "x"), *TALK[:1]]}, "messages", "stands first"),
        ({"messages": [turn("system", "x"), *TALK[:1]], "system": "y"}, "system", "leave one"),
    ],
)
def test_a_conversation_that_makes_no_sense_is_refused(
    client: TestClient, library: Library, asked: dict[str, Any], where: str, said: str
) -> None:
    response = client.post("/generate", json={**asked, "modelName": "demo"})
    assert response.status_code == 422, response.text
    (error,) = response.json()["errors"]
    assert error["where"] == where
    assert said in error["reason"]
    assert library.runtime.history == []


def test_answers_by_document_have_a_bound(library: Library, tmp_path: Path) -> None:
    settings = settings_of(tmp_path).model_copy(update={"max_answers": 1})
    body = {"user_prompt": QUESTION, "modelName": "demo", "per_document": True}
    with serving(settings, open_over(library)) as client:
        for documents in ("*", "handbook,prices"):
            named = {**body, "documents": documents.split(",")}
            response = client.post("/generate", json=named)
            assert response.status_code == 422
            assert response.json()["limit"] == 1
            assert "LLM_FASTAPI_MAX_ANSWERS" in response.json()["detail"]
            assert library.runtime.history == []
        one = client.post("/generate", json={**body, "documents": ["handbook"]})
        assert one.status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"user_prompt": "Hi", "modelName": "nobody"}, 404, "demo"),
        ({"user_prompt": "Hi", "modelName": "all-minilm-l6-v2-int8"}, 422, "cannot chat"),
        ({"user_prompt": "Hi", "modelName": "demo", "documents": ["x"]}, 404, "handbook.pdf"),
        ({"user_prompt": "", "modelName": "demo"}, 422, "user_prompt"),
        ({"user_prompt": " \n ", "modelName": "demo"}, 422, "user_prompt"),
        ({"modelName": "demo"}, 422, "user_prompt"),
        ({"user_prompt": "Hi"}, 422, "modelName"),
        ({"user_prompt": "Hi", "modelName": "demo", "temperature": 9}, 422, "temperature"),
        ({"user_prompt": "Hi", "modelName": "demo", "top_k": -9}, 422, "top_k"),
        ({"user_prompt": "Hi", "modelName": "demo", "top_a": 9}, 422, "top_a"),
        ({"user_prompt": "Hi", "modelName": "demo", "num_ctx": 9_000_000}, 422, "num_ctx"),
        ({"user_prompt": "Hi " * 5000, "modelName": "demo"}, 422, "5001 tokens"),
        ({"user_prompt": "Hi", "modelName": "demo", "per_document": True}, 422, "per_document"),
        (
            {
                "user_prompt": "Hi",
                "modelName": "demo",
                "documents": ["*"],
                "per_document": True,
                "stream": True,
            },
            422,
            "stream",
        ),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_refused_keeps_its_status_in_a_stream_too(
    client: TestClient, body: dict[str, Any], status: int, said: str, stream: bool
) -> None:
    if "stream" not in body and not body.get("per_document"):
        body = {**body, "stream": stream}
    response = client.post("/generate", json=body)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert said in response.text


@pytest.mark.parametrize("stream", [False, True])
def test_a_runtime_that_is_away_is_said_before_the_first_event(
    client: TestClient, library: Library, stream: bool
) -> None:
    library.runtime.available = False
    response = client.post(
        "/generate", json={"user_prompt": "Hi", "modelName": "demo", "stream": stream}
    )
    assert response.status_code == 503
    assert "Retry-After" in response.headers


def test_a_model_that_breaks_off_ends_the_stream_with_an_error_event(
    client: TestClient, library: Library
) -> None:
    library.runtime.will_answer(BreaksOff("half an", BackEndFailed("The child died.")))
    response = client.post(
        "/generate", json={"user_prompt": "Hi", "modelName": "demo", "stream": True}
    )
    events = events_in(response.text)
    assert [name for name, _ in events] == ["token", "token", "error"]
    assert (events[-1][1]["status"], events[-1][1]["detail"]) == (502, "The child died.")


def test_a_model_that_breaks_off_fails_the_whole_answer(
    client: TestClient, library: Library
) -> None:
    library.runtime.will_answer(BreaksOff("half an", BackEndFailed("The child died.")))
    response = client.post("/generate", json={"user_prompt": "Hi", "modelName": "demo"})
    assert response.status_code == 502


@pytest.mark.parametrize("source", ["params", "data", "json"])
def test_search_from_query_form_and_json(client: TestClient, library: Library, source: str) -> None:
    sent: dict[str, Any] = {
        source: {"query": "Orlo lamp", "modelName": "demo", "documents": ["handbook"], "limit": 1}
    }
    response = client.post("/search", **sent)
    assert response.status_code == 200, response.text
    (hit,) = response.json()["hits"]
    assert (hit["document"], hit["page"], hit["text"]) == ("handbook.pdf", 2, HANDBOOK[1])
    assert hit["found_by"][0]["query"] == "Orlo lamp"
    assert library.runtime.history == []


def test_search_with_expansion_asks_the_model(client: TestClient, library: Library) -> None:
    library.runtime.will_answer("light with several colours")
    body = {"query": "Orlo", "modelName": "demo", "expand": True}
    hits = client.post("/search", json=body).json()["hits"]
    assert {found["query"] for found in hits[0]["found_by"]} == {
        "Orlo",
        "light with several colours",
    }


def test_search_refuses_what_does_not_exist(client: TestClient) -> None:
    unknown_model = client.post("/search", json={"query": "x", "modelName": "nobody"})
    unknown_document = client.post(
        "/search", json={"query": "x", "modelName": "demo", "documents": ["nothing"]}
    )
    assert (unknown_model.status_code, unknown_document.status_code) == (404, 404)


# With a real server: only there can a client go away


@pytest.fixture
def address(library: Library, tmp_path: Path) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    opening = Opening(settings_of(tmp_path), open_over(library))
    server = uvicorn.Server(uvicorn.Config(opening.app, log_level="warning", lifespan="on"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    opening.wait()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listener.close()


def wait_until_open(runtime: FakeRuntime, streams: int) -> None:
    """Wait until exactly so many answers are being generated; far shorter than they would last."""
    deadline = time.monotonic() + 30
    while runtime.open_streams != streams:
        assert time.monotonic() < deadline, f"{runtime.open_streams} streams are open"
        time.sleep(0.01)


def leave_when_asked(address: str, body: dict[str, Any], runtime: FakeRuntime) -> None:
    """Ask, go away as soon as the model has begun, and see that it stops."""
    content = json.dumps(body).encode()
    host, _, port = address.removeprefix("http://").partition(":")
    head = (
        f"POST /generate HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + content)
        wait_until_open(runtime, 1)
    wait_until_open(runtime, 0)


LONG = "word " * 3000
ASKED = {"user_prompt": "Hi", "modelName": "demo", "max_tokens": 3500}


def asked(address: str, path: str, body: Mapping[str, Any]) -> httpx2.Response:
    return httpx2.post(f"{address}{path}", json=body, timeout=60)


def streamed(address: str) -> contextlib.AbstractContextManager[httpx2.Response]:
    body = {**ASKED, "stream": True}
    return httpx2.stream("POST", f"{address}/generate", json=body, timeout=60)


def test_a_client_that_leaves_in_the_middle_stops_the_generation(
    address: str, library: Library
) -> None:
    library.runtime.delay_seconds = 0.05
    library.runtime.will_answer(LONG)
    with streamed(address) as response:
        lines = response.iter_lines()  # its end closes the response
        assert next(lines) == "event: token"
        wait_until_open(library.runtime, 1)
    wait_until_open(library.runtime, 0)


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_before_the_first_piece_stops_the_generation(
    address: str, library: Library, stream: bool
) -> None:
    library.runtime.delay_seconds = 60
    library.runtime.will_answer(LONG)
    leave_when_asked(address, {**ASKED, "stream": stream}, library.runtime)
    library.runtime.delay_seconds = 0
    assert asked(address, "/generate", ASKED).status_code == 200


def test_a_client_that_leaves_a_whole_answer_stops_the_generation(
    address: str, library: Library
) -> None:
    library.runtime.delay_seconds = 0.05
    library.runtime.will_answer(LONG)
    leave_when_asked(address, ASKED, library.runtime)


def test_two_streams_run_side_by_side(address: str, library: Library) -> None:
    library.runtime.delay_seconds = 0.02
    library.runtime.will_answer(LONG, LONG)
    with streamed(address) as first, streamed(address) as second:
        lines, other_lines = first.iter_lines(), second.iter_lines()
        assert next(lines) == next(other_lines) == "event: token"
        wait_until_open(library.runtime, 2)
    wait_until_open(library.runtime, 0)


def test_the_server_answers_while_streams_are_open(address: str, library: Library) -> None:
    library.runtime.delay_seconds = 0.02
    library.runtime.will_answer(LONG)
    with streamed(address) as response:
        lines = response.iter_lines()  # its end closes the response
        assert next(lines) == "event: token"
        body = {"query": "Orlo lamp", "modelName": "demo"}
        assert asked(address, "/search", body).status_code == 200


def test_an_unknown_model_is_no_broken_stream(address: str) -> None:
    body = {**ASKED, "modelName": "nobody", "stream": True}
    response = asked(address, "/generate", body)
    assert response.status_code == ModelNotFound.status
    assert response.json()["Created Models"] == ["demo"]


@pytest.mark.parametrize("stream", ["false", "true"])
def test_a_question_while_a_job_trains_on_the_models_device_is_a_503_that_says_until_when(
    service: Service, stream: str
) -> None:
    ends_at = datetime.now(UTC) + timedelta(minutes=5)
    service.runtime.device = "gpu"
    service.runtime.reserve([Training("job_1", "gpu", ends_at)])
    asked = {"modelName": "demo", "user_prompt": "Hello", "stream": stream}
    response = service.client.post("/generate", data=asked)
    assert response.status_code == 503, response.text
    assert 290 <= int(response.headers["retry-after"]) <= 300
    assert "Job job_1 trains on the GPU" in response.json()["detail"]
    assert response.json()["until"] == ends_at.isoformat(timespec="seconds")
