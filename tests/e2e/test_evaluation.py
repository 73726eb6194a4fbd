"""Which lever helps, asked of the real demo model over a real document, and across the death of the server."""

import csv
import io
import json
import time
from typing import Any

from tests.e2e.conftest import ROOT, Server

QUESTIONS = json.loads((ROOT / "examples" / "questions.json").read_text())["document_questions"]


def test_documents_are_shown_to_help_though_the_server_dies_on_the_way(server: Server) -> None:
    client = server.client
    client.post("/createModel/ada", params={"baseModel": "demo", "system": "You are Ada."})
    with (ROOT / "examples" / "handbook.pdf").open("rb") as file:
        assert client.post("/importDocument?modelName=ada", files={"file": file}).is_success
    table = io.StringIO()
    csv.writer(table).writerows(
        [("question", "answer"), *((one["question"], one["value"]) for one in QUESTIONS)]
    )
    answer = client.post(
        "/evaluations",
        params={"modelName": "ada", "documents": "*", "metric": "contains", "max_tokens": 40},
        files={"questions": ("questions.csv", table.getvalue().encode())},
    )
    assert answer.status_code == 202, answer.text
    path = answer.headers["Location"]
    until(server, path, lambda found: found["progress"]["done"] >= 2)
    server.kill()  # with the children that answer for its models
    server.start()
    found = until(server, path, lambda found: found["status"] == "succeeded")
    result = found["result"]
    assert found["progress"]["done"] == 4 * len(QUESTIONS)
    assert result["arms"]["base"]["score"] == 0
    assert result["arms"]["base_documents"]["score"] >= 0.75
    (documents,) = [one for one in result["levers"] if one["lever"] == "documents"]
    assert documents["verdict"] == "better"
    assert documents["low"] > 0
    assert result["arms"]["base_documents"]["prompt_tokens"] > 500


def until(server: Server, path: str, holds: Any) -> Any:
    """The evaluation once that holds."""
    deadline = time.monotonic() + 100
    while not holds(found := server.client.get(path).json()):
        assert found["status"] in ("queued", "running"), found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found
