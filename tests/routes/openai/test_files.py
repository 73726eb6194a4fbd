"""`files` with the stock SDK: sent, looked at, fetched, listed and deleted."""

import json
from typing import Any

import openai
import pytest

from tests.routes.openai.conftest import sdk_over
from tests.service import Service

TURNS = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi."}]
ROWS = b"".join(json.dumps({"messages": TURNS}).encode() + b"\n" for _ in range(12))


@pytest.fixture
def sdk(service: Service) -> openai.OpenAI:
    """Over a service that has a base to fine-tune."""
    base = service.app.state.services.settings.base_models_dir / "demo"
    base.mkdir(parents=True)
    (base / "config.json").write_text("{}")
    return sdk_over(service.client)


def sent(sdk: openai.OpenAI, name: str = "notes.txt", content: bytes = b"Some notes.") -> Any:
    return sdk.files.create(file=(name, content), purpose="user_data")


def test_a_file_is_kept_as_it_came_until_it_is_deleted(sdk: openai.OpenAI) -> None:
    file = sent(sdk, "\u00dcber mich.txt", b"\x00\xff bytes")
    assert (file.filename, file.bytes, file.purpose) == ("\u00dcber mich.txt", 8, "user_data")
    assert sdk.files.retrieve(file.id) == file
    assert sdk.files.list().data == [file]
    answer = sdk.files.content(file.id)
    assert answer.content == b"\x00\xff bytes"
    assert answer.response.headers["content-type"].startswith("text/plain")
    assert "%C3%9Cber%20mich.txt" in answer.response.headers["content-disposition"]
    assert sdk.files.delete(file.id).deleted
    for gone in (sdk.files.retrieve, sdk.files.content, sdk.files.delete):
        with pytest.raises(openai.NotFoundError):
            gone(file.id)


def test_a_file_to_fine_tune_on_is_a_dataset(sdk: openai.OpenAI, service: Service) -> None:
    file = sdk.files.create(file=("rows.jsonl", ROWS), purpose="fine-tune")
    (dataset,) = service.client.get("/datasets").json()["datasets"]
    assert (dataset["dataset_id"], dataset["rows"]["train"]) == (file.id, 12)
    assert sdk.files.content(file.id).content == ROWS
    assert [one.id for one in sdk.files.list(purpose="fine-tune")] == [file.id]
    sdk.files.delete(file.id)
    assert service.client.get(f"/datasets/{file.id}").status_code == 404
