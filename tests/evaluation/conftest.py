"""A service whose models know some things, and a document that knows others."""

import json
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from api.runtime import Message
from tests.documents.pdfs import handbook
from tests.service import Service, open_service

TOWERS = [f"Tower {chr(65 + n)}" for n in range(12)]
HEIGHTS = {name: 10 + 7 * n for n, name in enumerate(TOWERS)}
ENDED = ("succeeded", "failed", "cancelled")


def knows(messages: Sequence[Message]) -> str:
    """The height that a passage tells; the tuned model knows those of the second half by itself."""
    asked = re.findall(r"How high is (Tower [A-Z])\?", messages[-1].content)
    if not asked:
        return "tower height"
    name = asked[-1]
    told = re.search(rf"\[(\d+)\][^\[]*{name} is (\d+) metres", messages[-1].content)
    if told:
        return f"It is {told[2]} metres high [{told[1]}]."
    is_tuned = messages[0].role == "system" and "tuned" in messages[0].content
    if is_tuned and TOWERS.index(name) >= len(TOWERS) // 2:
        return f"It is {HEIGHTS[name]} metres high."
    return "I do not know."


def questions(count: int = len(TOWERS)) -> bytes:
    """A dataset's file with so many questions."""
    rows = [
        [
            {"role": "user", "content": f"How high is {name}?"},
            {"role": "assistant", "content": f"It is {HEIGHTS[name]} metres high."},
        ]
        for name in TOWERS[:count]
    ]
    cells = ['"' + json.dumps(row).replace('"', '""') + '"' for row in rows]
    return "\n".join(["messages", *cells]).encode()


def begun(service: Service, count: int = len(TOWERS), **parameters: Any) -> str:
    """The id of an evaluation that was begun."""
    answer = asked(service, count, **parameters)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["evaluation_id"])


def asked(service: Service, count: int = len(TOWERS), **parameters: Any) -> Any:
    """The answer to a request for one."""
    return service.client.post(
        "/evaluations",
        params={"modelName": "ada", **parameters},
        files={"questions": ("questions.csv", questions(count))},
    )


def start(service: Service) -> None:
    """Let what is queued begin."""
    assert service.client.portal
    service.client.portal.call(_start, service)


async def _start(service: Service) -> None:
    service.app.state.services.evaluations.start()


def until(service: Service, id: str, statuses: Sequence[str] = ENDED) -> dict[str, Any]:
    """The evaluation once it has one of these."""
    deadline = time.monotonic() + 60
    while True:
        found: dict[str, Any] = service.client.get(f"/evaluations/{id}").json()
        if found["status"] in statuses:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.02)


def prepare(service: Service) -> None:
    """A tuned model over `demo`, whose document tells of all towers."""
    service.runtime.rule = knows
    made = service.client.post("/createModel/ada?baseModel=demo&system=You are tuned.")
    assert made.status_code in (200, 201, 409), made.text
    pages = [(name, f"{name} is {HEIGHTS[name]} metres high.") for name in TOWERS]
    sent = service.client.post(
        "/importDocument?modelName=ada", files={"file": ("towers.pdf", handbook(pages))}
    )
    assert sent.status_code in (200, 201), sent.text


@pytest.fixture
def towers(tmp_path: Path) -> Iterator[Service]:
    """The service with model and document; evaluations begin when a test starts them."""
    with open_service(tmp_path, expansions=0, passages=3) as service:
        prepare(service)
        yield service
