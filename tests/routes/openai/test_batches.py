"""Batches with the stock SDK: made, followed, cancelled; what comes of their rows, also with a start in between."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import openai
import pytest
from fastapi import FastAPI
from openai.types import Batch

from api.errors import TooManyRequests, Unavailable
from api.routes.openai.batches import BatchRequest
from api.runtime import Message, ModelRef, Options, Piece
from tests.documents.house import House
from tests.fakes import FakeRuntime
from tests.routes.openai.conftest import sdk_over
from tests.routes.openai.test_hostile import is_in_form, requests
from tests.service import Service, open_service, serving_house, settings_of

CHAT = "/v1/chat/completions"
EMBEDDER = "all-minilm-l6-v2-int8"
ON_ITS_WAY = ("validating", "in_progress", "finalizing", "cancelling")
PATIENCE_SECONDS = 60
ADMIN = {"Authorization": "Bearer the-first-admin"}


class HangsAtRows(FakeRuntime):
    """Answers so many chats about a row, and begins all further ones without ever ending them."""

    def __init__(self, answers: int) -> None:
        super().__init__()
        self.answers_left = answers
        self.hanging = 0

    async def chat(
        self,
        model: ModelRef,
        messages: Sequence[Message],
        options: Options,
        *,
        least_tokens: int | None = None,
        prompt_tokens: int | None = None,
    ) -> AsyncGenerator[Piece, None]:
        """As ever, or never."""
        if messages[-1].content.startswith("row"):
            self.answers_left -= 1
            if self.answers_left < 0:
                self.hanging += 1
                await asyncio.Event().wait()
        async for piece in super().chat(
            model, messages, options, least_tokens=least_tokens, prompt_tokens=prompt_tokens
        ):
            yield piece


def row(custom_id: str, content: str = "Hello", **body: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": content}]
    said = {"model": "demo", "messages": turns, **body}
    return {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": said}


def many(count: int) -> list[dict[str, Any]]:
    return [row(str(number), f"row {number}") for number in range(count)]


def begun(sdk: openai.OpenAI, rows: Iterable[Any], endpoint: Any = CHAT, **more: Any) -> Batch:
    content = b"".join(json.dumps(one).encode() + b"\n" for one in rows)
    file = sdk.files.create(file=("rows.jsonl", content), purpose="batch")
    return sdk.batches.create(
        input_file_id=file.id, endpoint=endpoint, completion_window="24h", **more
    )


def until(sdk: openai.OpenAI, id: str, is_so: Callable[[Batch], bool]) -> Batch:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so(batch := sdk.batches.retrieve(id)):
        assert time.monotonic() < deadline, batch
        time.sleep(0.02)
    return batch


def ended(sdk: openai.OpenAI, id: str) -> Batch:
    return until(sdk, id, lambda batch: batch.status not in ON_ITS_WAY)


def content(sdk: openai.OpenAI, file: str | None) -> dict[str, Any]:
    """The lines of a file by their custom_id, each there once."""
    if file is None:
        return {}
    read = [json.loads(line) for line in sdk.files.content(file).text.splitlines()]
    found = {one["custom_id"]: one for one in read}
    assert len(found) == len(read)
    return found


def counts(batch: Batch) -> tuple[int, int, int]:
    assert batch.request_counts
    said = batch.request_counts
    return said.total, said.completed, said.failed


@contextlib.contextmanager
def serving_over(folder: Path, runtime: FakeRuntime, **values: object) -> Iterator[openai.OpenAI]:
    """A client of the service over a runtime of the test."""
    house = House(folder, runtime=runtime)
    with serving_house(house, settings_of(folder, **values)) as client:
        yield sdk_over(client)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all that needs no start of its own."""
    with open_service(tmp_path_factory.mktemp("batches")) as service:
        yield service


@pytest.fixture
def sdk(served: Service) -> openai.OpenAI:
    """A client of it."""
    return sdk_over(served.client)


def test_rows_are_answered_as_a_client_would_be(served: Service, sdk: openai.OpenAI) -> None:
    rows = [row("a", "one"), row("b", "two"), row("none", model="nobody"), row("wrong", n=99)]
    batch = begun(sdk, rows, metadata={"night": "1"})
    assert (batch.status, batch.metadata) == ("validating", {"night": "1"})
    assert batch.expires_at == batch.created_at + 86_400
    batch = ended(sdk, batch.id)
    assert (batch.status, counts(batch)) == ("completed", (4, 2, 2))
    output = content(sdk, batch.output_file_id)
    assert set(output) == {"a", "b"}
    said = output["a"]["response"]
    assert (said["status_code"], output["a"]["error"]) == (200, None)
    assert said["body"]["choices"][0]["message"]["content"] == "one"
    errors = content(sdk, batch.error_file_id)
    refused = errors["none"]["response"]
    assert refused["status_code"] == 404
    assert refused["body"]["error"]["code"] == "model_not_found"
    asked = served.client.post(CHAT, json=rows[3]["body"])
    assert errors["wrong"]["response"]["body"] == asked.json()
    assert sdk.files.retrieve(str(batch.output_file_id)).purpose == "batch_output"
    folder = served.app.state.services.settings.batches_dir / batch.id
    assert [path.name for path in folder.iterdir()] == ["batch.json"]


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("/v1/embeddings", {"model": EMBEDDER, "input": "one"}),
        ("/v1/completions", {"model": "demo", "prompt": "one"}),
        ("/v1/responses", {"model": "demo", "input": "one"}),
    ],
)
def test_other_endpoints_answer_too(sdk: openai.OpenAI, endpoint: str, body: Any) -> None:
    rows = [{"custom_id": "a", "method": "POST", "url": endpoint, "body": body}]
    kept = {"anchor": "created_at", "seconds": 3600}
    batch = ended(sdk, begun(sdk, rows, endpoint, output_expires_after=kept).id)
    assert (batch.status, batch.error_file_id) == ("completed", None)
    said = content(sdk, batch.output_file_id)["a"]["response"]
    assert said["status_code"] == 200, said
    file = sdk.files.retrieve(str(batch.output_file_id))
    assert file.expires_at == file.created_at + 3600


def test_a_file_with_faults_fails_by_line(sdk: openai.OpenAI) -> None:
    batch = ended(sdk, begun(sdk, [row("a"), row("a"), {**row("c"), "url": "/v1/x"}]).id)
    assert (batch.status, counts(batch)) == ("failed", (0, 0, 0))
    assert (batch.output_file_id, batch.error_file_id) == (None, None)
    assert batch.errors
    assert batch.errors.data
    assert [(one.code, one.param, one.line) for one in batch.errors.data] == [
        ("duplicate_custom_id", "custom_id", 2),
        ("url_mismatch", "url", 3),
    ]


def test_what_cannot_be_a_batch_is_refused(served: Service, sdk: openai.OpenAI) -> None:
    file = sdk.files.create(file=("notes.txt", b"notes"), purpose="user_data")
    batch = {"input_file_id": file.id, "endpoint": CHAT, "completion_window": "24h"}
    for members, status, param in (
        ({}, 400, "input_file_id"),
        ({"input_file_id": "file_0123456789abcdef"}, 404, None),
        ({"endpoint": "/v1/moderations"}, 400, "endpoint"),
        ({"completion_window": "1h"}, 400, "completion_window"),
        ({"metadata": {str(n): "x" for n in range(17)}}, 400, "metadata"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 1}}, 400, None),
    ):
        answer = served.client.post("/v1/batches", json={**batch, **members})
        assert answer.status_code == status, answer.text
        if param:
            assert answer.json()["error"]["param"] == param
    for body_where, body in requests(BatchRequest, batch):
        assert not is_in_form(served.client, "/v1/batches", body), body_where


def test_batches_are_listed_by_pages(sdk: openai.OpenAI) -> None:
    made = [begun(sdk, [row("a")]).id for _ in range(3)]
    for id in made:
        ended(sdk, id)
    listed = [one.id for one in sdk.batches.list(limit=2)]  # the client asks for all pages
    assert listed[:3] == made[::-1]
    assert len(set(listed)) == len(listed)
    page = sdk.batches.list(limit=2)
    assert [one.id for one in page.data] == made[:0:-1]
    assert sdk.batches.list(after=made[1]).data[0].id == made[0]
    assert sdk.batches.list(after=listed[-1]).data == []
    with pytest.raises(openai.NotFoundError):
        sdk.batches.list(after="batch_0123456789abcdef")


def test_what_is_refused_for_now_is_asked_again(served: Service, sdk: openai.OpenAI) -> None:
    again = TooManyRequests("Later.", retry_after_seconds=0)
    served.runtime.will_answer(again, Unavailable("Later.", retry_after_seconds=0), again)
    batch = ended(sdk, begun(sdk, [row("a", "one")]).id)
    assert (batch.status, counts(batch)) == ("completed", (1, 1, 0))


def test_cancelling_keeps_what_was_answered_and_who_asks_is_not_held_up(tmp_path: Path) -> None:
    runtime = HangsAtRows(answers=2)
    with serving_over(tmp_path, runtime) as sdk:
        batch = until(sdk, begun(sdk, many(20)).id, lambda one: counts(one) == (20, 2, 0))
        deadline = time.monotonic() + PATIENCE_SECONDS
        while runtime.hanging < 3:  # all places but one
            assert time.monotonic() < deadline
            time.sleep(0.01)
        turns: Any = [{"role": "user", "content": "Hello"}]
        answer = sdk.chat.completions.create(model="demo", messages=turns, timeout=60)
        assert answer.choices[0].message.content == "Hello"
        assert sdk.batches.list().data[0].status == "in_progress"
        assert sdk.batches.cancel(batch.id).status in ("cancelling", "cancelled")
        batch = ended(sdk, batch.id)
        assert (batch.status, counts(batch)) == ("cancelled", (20, 2, 0))
        assert len(content(sdk, batch.output_file_id)) == 2
        assert runtime.open_streams == 0
        assert sdk.batches.cancel(batch.id).status == "cancelled"
        completed = ended(sdk, begun(sdk, [row("a")]).id)
        with pytest.raises(openai.ConflictError, match="nothing to cancel"):
            sdk.batches.cancel(completed.id)


def test_a_start_in_between_loses_no_row_and_repeats_none(tmp_path: Path) -> None:
    with serving_over(tmp_path, HangsAtRows(answers=5)) as sdk:
        id = begun(sdk, [*many(12), row("none", model="nobody")]).id
        until(sdk, id, lambda one: counts(one)[1] == 5)
        late = begun(sdk, many(4)).id
        until(sdk, late, lambda one: counts(one)[0] == 4)
    output = tmp_path / "batches" / id / "output.jsonl"
    before = output.read_bytes().splitlines()
    with output.open("ab") as file:
        file.write(
            b'{"id": "batch_req_1", "custom_id": "11", "respo'
        )  # as a power cut tears it off
    card = tmp_path / "batches" / late / "batch.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"expires_at": "2026-01-01T00:00Z"}))
    runtime = FakeRuntime()
    with serving_over(tmp_path, runtime) as sdk:
        batch = ended(sdk, id)
        assert (batch.status, counts(batch)) == ("completed", (13, 12, 1))
        lines = sdk.files.content(str(batch.output_file_id)).content.splitlines()
        assert lines[:5] == before
        assert set(content(sdk, batch.output_file_id)) == {str(number) for number in range(12)}
        assert len(runtime.history) == 7
        batch = ended(sdk, late)
        assert (batch.status, counts(batch)) == ("expired", (4, 0, 4))
        errors = content(sdk, batch.error_file_id)
        assert errors["3"]["error"]["code"] == "batch_expired"
        assert errors["3"]["response"] is None


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service with keys, over a slow runtime."""
    house = House(tmp_path_factory.mktemp("keys"), runtime=FakeRuntime(delay_seconds=0.01))
    settings = settings_of(house.folder, api_key="the-first-admin")
    with serving_house(house, settings) as client:
        assert isinstance(client.app, FastAPI)
        yield Service(client.app, client, house.runtime, house.store, house)


@pytest.mark.parametrize("change", [{"blocked": True}, {"scopes": ["train"]}, None])
def test_a_batch_ends_with_its_key(guarded: Service, change: Any) -> None:
    """None: the key is revoked."""
    client = guarded.client
    made = client.post("/keys", json={"alias": "n"}, headers=ADMIN).json()
    batch = begun(sdk_over(client, made["key"]), many(1000))
    sdk, path = sdk_over(client, "the-first-admin"), f"/keys/{made['id']}"
    until(sdk, batch.id, lambda one: counts(one)[1] > 3)
    if change is None:
        assert client.delete(path, headers=ADMIN).status_code == 200
    else:
        assert client.patch(path, json=change, headers=ADMIN).status_code == 200
    batch = ended(sdk, batch.id)
    assert batch.status == "failed"
    assert batch.errors
    assert batch.errors.data
    (error,) = batch.errors.data
    assert error.code in ("invalid_api_key", "missing_scope")
    assert str(error.message).startswith(("The key", "This key"))
    assert len(content(sdk, batch.output_file_id)) == counts(batch)[1] < 1000
    used = client.get("/usage", headers=ADMIN).json()["usage"]
    assert sum(one["requests"] for one in used if one["key_id"] == made["id"]) > 3
