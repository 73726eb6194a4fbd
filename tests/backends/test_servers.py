"""Servers that are started here: their life, and what a class of a user's own may do wrong."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from starlette.testclient import TestClient

from tests.finetune.jobs import wait_for
from tests.service import Service, open_service

CLASSES = Path(__file__).parent / "classes"


def served(client: TestClient, name: str, wanted: str, **more: Any) -> Any:
    """A back end over a server that is started here, as it is told."""
    server = {"kind": "custom", "class": f"odd:{wanted}", "arguments": {"ending": "!"}}
    said = {"launch": "process", "server": server, **more}
    answer = client.post(f"/backends/{name}", json=said)
    assert answer.status_code == 201, answer.text
    return answer.json()


def reached(client: TestClient, name: str, *states: str, within_seconds: float = 30) -> Any:
    """The server of a back end, once it is in one of these states."""
    ends = time.monotonic() + within_seconds
    while True:
        server = client.get(f"/backends/{name}").json()["server"]
        if server["state"] in states:
            return server
        assert time.monotonic() < ends, server
        time.sleep(0.05)


def asked(client: TestClient, name: str, prompt: str = "Hello there", **more: Any) -> Any:
    """The answer of a model."""
    return client.post("/generate", json={"modelName": name, "user_prompt": prompt, **more})


def processes(wanted: str) -> list[psutil.Process]:
    """Those of a server and its guard."""
    found = []
    for one in psutil.process_iter(["cmdline", "status"]):
        told = " ".join(one.info["cmdline"] or ())
        if f'"odd:{wanted}"' in told and one.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(one)
    return found


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that may serve the classes of these tests."""
    folder = tmp_path_factory.mktemp("servers")
    with open_service(folder, model_servers_dir=CLASSES) as service:
        yield service


@pytest.fixture(scope="module")
def odd(shared: Service) -> TestClient:
    """A client of a service with a model `odd`, which is ready."""
    served(shared.client, "odd", "Odd", first_token_seconds=1, retries=0)
    return shared.client


def test_a_persona_over_a_class_answers_like_any_model(shared: Service) -> None:
    client = shared.client
    made = served(client, "parrot", "Parrot")
    assert (made["server"]["state"], made["base_url"], made["key"]) == ("starting", "", "none")
    early = asked(client, "parrot")
    assert early.status_code == 503
    assert int(early.headers["Retry-After"]) > 0
    assert "is starting" in early.json()["detail"]
    reached(client, "parrot", "ready")
    persona = {"baseModel": "parrot", "system": "Be Ada.", "parameters": {"stop": ["you"]}}
    assert client.post("/createModel/ada", json=persona).status_code == 201
    assert asked(client, "ada", "who are you then").json()["message"] == "Be Ada. who are "
    assert asked(client, "parrot").json()["message"] == "Hello there !"
    assert asked(client, "parrot", temperature=0.5).json()["message"] == "Hello there 0.5"
    refused = asked(client, "parrot", top_p=0.5)
    assert (refused.status_code, refused.json()["where"]) == (422, "top_p")
    assert client.delete("/backends/parrot").status_code == 409
    assert client.delete("/deleteModel/ada").status_code == 200
    assert client.delete("/backends/parrot").status_code == 200
    assert processes("Parrot") == []


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("raise", "ValueError: no words today"),
        ("raise later", "KeyError: 'lost'"),
        ("exit", "SystemExit: 3"),
        ("give nothing", "generate gave nothing"),
        ("give a number", "a value of the type int"),
        ("give numbers", "a value of the type int as a piece"),
        ("give a dictionary", "a value of the type dict"),
    ],
)
def test_what_a_class_does_wrong_is_told_and_its_server_stays(
    odd: TestClient, prompt: str, told: str
) -> None:
    reached(odd, "odd", "ready")
    answer = asked(odd, "odd", prompt)
    assert answer.status_code == 502
    assert told in answer.json()["detail"]
    assert asked(odd, "odd", "Hi", max_tokens=9).json()["message"] == "Hi ['max_tokens']"
    server = reached(odd, "odd", "ready")
    assert server["deaths"] == 0


def test_what_a_class_prints_is_kept_within_bounds(odd: TestClient, shared: Service) -> None:
    reached(odd, "odd", "ready")
    assert asked(odd, "odd", "print").json()["message"] == "done"
    folder = Path(shared.app.state.services.settings.data_dir) / "servers" / "odd"
    wait_for(lambda: reached(odd, "odd", "ready")["log"][-1:] == ["The last line."])
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 2 * 2**20 + 2**16


def test_one_that_hangs_meets_the_time_outs_and_is_started_again(odd: TestClient) -> None:
    reached(odd, "odd", "ready")
    assert asked(odd, "odd", "hang").status_code == 504
    server = reached(odd, "odd", "waiting", "starting")
    assert "after its client had left" in server["why"]
    reached(odd, "odd", "ready")
    assert asked(odd, "odd").status_code == 200


def test_one_that_dies_is_started_again_and_says_why(odd: TestClient) -> None:
    reached(odd, "odd", "ready")
    answer = asked(odd, "odd", "die")
    assert answer.status_code == 502
    assert "broke off" in answer.json()["detail"]
    server = reached(odd, "odd", "waiting", "starting")
    assert "ended (status 9): No room for any more words" in server["why"]
    assert server["log"][-1] == "No room for any more words."
    assert server["deaths"] >= 1
    meanwhile = asked(odd, "odd")
    assert meanwhile.status_code == 503
    assert int(meanwhile.headers["Retry-After"]) > 0
    reached(odd, "odd", "ready")
    assert asked(odd, "odd").status_code == 200


def test_one_that_cannot_be_loaded_says_why_and_keeps_the_service_ready(shared: Service) -> None:
    served(shared.client, "never", "NeverStarts")
    server = reached(shared.client, "never", "waiting")
    assert "RuntimeError: no weights here" in server["why"]
    assert "Loading the weights." in server["log"]
    ready = shared.client.get("/readyz")
    assert ready.status_code == 200
    assert "no weights here" in ready.text
    change = {"server": {"kind": "custom", "class": "odd:Parrot"}}
    assert shared.client.patch("/backends/never", json=change).status_code == 200
    reached(shared.client, "never", "ready")
    assert asked(shared.client, "never").json()["message"] == "Hello there "
    assert shared.client.delete("/backends/never").status_code == 200
