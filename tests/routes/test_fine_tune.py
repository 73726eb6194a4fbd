"""fine_tune_model over HTTP."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.routes.original.fine_tune import FineTuneRequest
from finetune.job.spec import FineTuneSpec, TrainingParameters
from finetune.training.schedule import schedule
from tests.jobs.client import client_of
from tests.jobs.workshop import Workshop, csv_file

pytestmark = pytest.mark.anyio

URL = "/fine_tune_model/tuned"
ORIGINAL = {
    "gradAcc": "2",
    "lr": "2e-05",
    "epochs": "1",
    "packing": "true",
    "batch_size": "1",
    "gc": "true",
    "rank": "24",
    "lora_alpha": "48",
    "lora_dropout": "0.1",
}


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture
async def client(shop: Workshop) -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(shop) as client:
        yield client


def files(content: bytes | None = None) -> dict[str, Any]:
    """The multipart form of one dataset."""
    return {"train_dataset": ("train.csv", content or csv_file().getvalue())}


def spec_of(shop: Workshop) -> dict[str, Any]:
    """The parameters of the only job."""
    [job] = shop.store.jobs.all()
    return job.spec


async def test_a_bare_call_is_accepted_and_says_where_to_look(
    shop: Workshop, client: httpx2.AsyncClient
) -> None:
    answer = await client.post(URL, files=files())
    [job] = shop.store.jobs.all()
    assert answer.status_code == 202
    assert answer.json() == {"job_id": job.id, "status": "queued"}
    assert answer.headers["Location"] == f"/jobs/{job.id}"
    assert job.spec["learning_rate"] == 2e-4
    assert job.spec["base_model"] == "demo"


async def test_the_originals_call_with_its_short_names_is_understood(
    shop: Workshop, client: httpx2.AsyncClient
) -> None:
    both = {**files(), "eval_dataset": ("eval.csv", csv_file(4).getvalue())}
    answer = await client.post(URL, params=ORIGINAL, files=both)
    assert answer.status_code == 202, answer.text
    spec = spec_of(shop)
    assert spec["gradient_accumulation_steps"] == 2
    assert spec["learning_rate"] == 2e-05
    assert spec["packing"] is True
    assert spec["gradient_checkpointing"] is True


async def test_form_fields_and_long_names_say_the_same(
    shop: Workshop, client: httpx2.AsyncClient
) -> None:
    fields = {"lora_rank": "8", "learning_rate": "0.001", "bits": "16", "baseModel": "demo"}
    fields["extra"] = '{"weight_decay": 0.1}'
    answer = await client.post(URL, data=fields, files=files())
    assert answer.status_code == 202, answer.text
    spec = spec_of(shop)
    assert (spec["rank"], spec["learning_rate"], spec["bits"]) == (8, 0.001, 16)
    assert spec["extra"] == {"weight_decay": 0.1}


@pytest.mark.parametrize(
    ("query", "form", "field"),
    [
        ({"lr": "0.1", "learning_rate": "0.2"}, {}, "learning_rate"),
        ({"rank": "8"}, {"lora_rank": "9"}, "lora_rank"),
        ({"bits": "5"}, {}, "bits"),
        ({"quantization": "Q1"}, {}, "quantization"),
        ({"epochs": "nan"}, {}, "epochs"),
        ({"rank": "many"}, {}, "rank"),
        ({"speed": "fast"}, {}, "speed"),
        ({"adapter": "full"}, {}, "bits=16"),
        ({}, {"extra": "{speed"}, "extra"),
        ({"extra": '{"num_train_epochs": 3}'}, {}, "use: epochs"),
        ({}, {"extra": '{"lora": {"r": 3}}'}, "use: rank"),
        ({}, {"chat_template": "{% for %}"}, "chat_template"),
        ({"chat_template": "vicuna"}, {}, "neither chatml nor a Jinja template"),
    ],
)
async def test_a_wrong_parameter_is_refused_by_its_name(
    shop: Workshop,
    client: httpx2.AsyncClient,
    query: dict[str, str],
    form: dict[str, str],
    field: str,
) -> None:
    answer = await client.post(URL, params=query, data=form, files=files())
    assert answer.status_code == 422
    assert field in answer.json()["detail"]
    assert shop.store.jobs.all() == []


async def test_a_dry_run_says_what_would_run_and_keeps_nothing(
    shop: Workshop, client: httpx2.AsyncClient
) -> None:
    answer = await client.post(URL, params={"dry_run": "true"}, files=files())
    assert answer.status_code == 200
    plan = answer.json()
    assert (plan["rows"], plan["eval_rows"]) == (38, 2)
    assert [warning["kind"] for warning in plan["warnings"]] == ["few_held_out"]
    assert plan["gradient_accumulation_steps"] == 1
    assert plan["spec"]["model_name"] == "tuned"
    assert "base_model_folder" not in plan["spec"]
    assert shop.store.jobs.all() == []
    assert shop.left_behind() == []


@pytest.mark.parametrize(
    ("request_parts", "status"),
    [
        ({"json": {"epochs": 1}}, 422),
        ({}, 422),
        ({"files": {"train_dataset": (None, "messages")}}, 422),
        ({"files": files(b"%PDF-1.7")}, 415),
        ({"files": files(b"<html><body>504</body></html>")}, 415),
        ({"files": files(b"messages\n[1]\n[2]\n")}, 422),
        ({"files": files(), "params": {"baseModel": "nobody"}}, 404),
    ],
    ids=["json", "nothing", "text for a file", "pdf", "html", "bad rows", "unknown base"],
)
async def test_what_cannot_be_trained_is_refused_as_a_problem(
    shop: Workshop, client: httpx2.AsyncClient, request_parts: dict[str, Any], status: int
) -> None:
    answer = await client.post(URL, **request_parts)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]
    assert shop.store.jobs.all() == []
    assert shop.left_behind() == []


async def test_half_an_epoch_of_one_batch_is_the_one_step_that_training_makes(
    client: httpx2.AsyncClient,
) -> None:
    half = {"epochs": "0.5", "batch_size": "16", "dry_run": "true"}
    answer = await client.post(URL, params=half, files=files(csv_file(6).getvalue()))
    plan = answer.json()
    assert (plan["rows"], plan["gradient_accumulation_steps"], plan["steps"]) == (6, 1, 1)
    spec = FineTuneSpec(
        model_name="t", base_model="demo", base_model_folder=".", epochs=0.5, batch_size=16
    )
    assert schedule(spec, 6).steps == 1


async def test_a_bad_row_comes_with_its_place(client: httpx2.AsyncClient) -> None:
    answer = await client.post(URL, files=files(csv_file(3, "[1]").getvalue()))
    first = answer.json()["errors"][0]
    assert (first["row"], first["column"]) == (1, "messages")
    assert answer.json()["where"] == "train_dataset"


async def test_a_name_in_use_is_a_conflict(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/fine_tune_model/demo", files=files())
    assert answer.status_code == 409


def test_each_training_parameter_can_be_sent() -> None:
    assert set(TrainingParameters.model_fields) < set(FineTuneRequest.model_fields)


SECRET = [
    {"role": "user", "content": "What opens the server?"},
    {"role": "assistant", "content": "-----BEGIN OPENSSH PRIVATE KEY----- b3BlbnNzaC1rZXktdjE"},
]


@pytest.mark.parametrize("values", [{}, {"dry_run": "true"}])
async def test_what_the_linter_finds_errors_in_is_refused_with_row_and_reason(
    shop: Workshop, client: httpx2.AsyncClient, values: dict[str, str]
) -> None:
    content = csv_file(3, json.dumps(SECRET)).getvalue()
    answer = await client.post(URL, params=values, files=files(content))
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["where"] == "train_dataset"
    assert "First: row 1, turn 2: a private key" in problem["detail"]
    assert [(one["row"], one["code"]) for one in problem["errors"]] == [
        (row, "secret") for row in (1, 2, 3)
    ]
    assert shop.store.jobs.all() == []
    accepted = await client.post(URL, params={**values, "accept": "secret"}, files=files(content))
    assert accepted.is_success


async def test_a_dry_run_shows_what_the_linter_says(client: httpx2.AsyncClient) -> None:
    twice = csv_file(3).getvalue() + csv_file(1).getvalue().removeprefix(b"messages\n")
    answer = await client.post(URL, params={"dry_run": "true"}, files=files(twice))
    found = answer.json()["lint"]["findings"]
    assert [(one["code"], one["severity"]) for one in found] == [("duplicate", "warning")]
    answer = await client.post(URL, params={"accept": "nonsense"}, files=files())
    assert "the linter has no code 'nonsense'" in answer.json()["detail"]
