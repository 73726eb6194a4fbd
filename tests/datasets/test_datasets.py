"""Datasets over HTTP: uploaded, described, listed, trained on and deleted."""

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from finetune.data.folds import path_of
from finetune.data.rows import FOLDS, Chat, read_rows
from tests.conftest import DEMO_MODEL
from tests.jobs.client import client_of
from tests.jobs.workshop import Workshop, csv_file

pytestmark = pytest.mark.anyio


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture
async def client(shop: Workshop) -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(shop) as client:
        yield client


def faq(rows: int = 40, first: int = 1, **more: str) -> bytes:
    lines = [
        {"question": f"Question {number}?", "answer": f"Answer {number}.", **more}
        for number in range(first, first + rows)
    ]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


async def added(
    client: httpx2.AsyncClient, content: bytes | None = None, **values: str
) -> dict[str, Any]:
    file = ("faq.jsonl", content or faq())
    values = {"columns": "question:prompt,answer:completion", **values}
    answer = await client.post("/datasets", data=values, files={"file": file})
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"/datasets/{answer.json()['dataset_id']}"
    return answer.json()  # type: ignore[no-any-return]


async def test_an_upload_says_what_was_understood(client: httpx2.AsyncClient) -> None:
    dataset = await added(client, system="Be kind.", name="the FAQ")
    assert dataset["name"] == "the FAQ"
    assert (dataset["format"], dataset["form"]) == ("JSON Lines", "prompt_completion")
    assert dataset["columns"] == {"prompt": "question", "completion": "answer"}
    assert dataset["rows"] == {"train": 40}
    assert dataset["first_rows"][0] == {
        "number": 1,
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Question 1?"},
            {"role": "assistant", "content": "Answer 1."},
        ],
    }
    assert len(dataset["first_rows"]) == 3
    assert (await client.get(f"/datasets/{dataset['dataset_id']}")).json() == dataset


async def test_without_a_tokenizer_the_texts_alone_are_looked_at_and_a_note_says_so(
    client: httpx2.AsyncClient,
) -> None:
    dataset = await added(client, faq(1) * 3)
    assert dataset["samples"] == []
    assert "okenizer" in dataset["note"]
    assert {"duplicate"} <= {finding["code"] for finding in dataset["findings"]}


async def test_rows_are_shown_as_the_model_reads_them_with_what_is_learned(
    shop: Workshop, client: httpx2.AsyncClient
) -> None:
    base = shop.settings.base_models_dir / "demo"
    shutil.copytree(DEMO_MODEL, base, dirs_exist_ok=True)
    dataset = await added(client)
    assert dataset["note"] is None
    read, learned = dataset["samples"][0]["pieces"][:2]
    assert (read["learned"], learned["learned"]) == (False, True)
    assert "<|im_start|>user\nQuestion 1?" in read["text"]
    assert learned["text"].startswith("Answer 1.<|im_end|>")
    assert dataset["figures"]["supervised_tokens"] > 0


async def test_datasets_are_listed_page_by_page_newest_first(client: httpx2.AsyncClient) -> None:
    ids = [(await added(client, name=f"no {number}"))["dataset_id"] for number in range(3)]
    page = (await client.get("/datasets?limit=2")).json()
    assert [one["dataset_id"] for one in page["datasets"]] == [ids[2], ids[1]]
    assert page["has_more"]
    rest = (await client.get(f"/datasets?after={ids[1]}")).json()
    assert [one["name"] for one in rest["datasets"]] == ["no 0"]
    assert not rest["has_more"]
    assert (await client.get("/datasets?after=ds_0123456789abcdef")).status_code == 404


async def test_a_job_learns_from_a_dataset_that_is_then_deleted(
    shop: Workshop, client: httpx2.AsyncClient
) -> None:
    dataset = await added(client)
    id = dataset["dataset_id"]
    answer = await client.post(f"/fine_tune_model/tuned?train_dataset={id}")
    assert answer.status_code == 202, answer.text
    [job] = shop.store.jobs.all()
    assert job.spec["datasets"]["train"] == {
        "id": id,
        "name": "faq.jsonl",
        "sha256": dataset["sha256"],
        "documents": [],
    }
    deleted = await client.delete(f"/datasets/{id}")
    assert deleted.json() == {
        "message": f"Successfully deleted {id}",
        "dataset_id": id,
        "learned_by": [],
    }
    assert (await client.get(f"/datasets/{id}")).status_code == 404
    assert not list((shop.settings.datasets_dir).iterdir())
    train = shop.directory(job).input("train")
    assert train
    rows = [row for row in read_rows(train) if isinstance(row, Chat)]
    assert len(rows) == 40
    assert rows[0].messages[1]["content"] == "Answer 1."


async def test_the_folds_of_a_dataset_are_those_of_the_job(
    shop: Workshop, client: httpx2.AsyncClient
) -> None:
    folds = faq(30, fold="train") + faq(5, 31, fold="valid") + faq(4, 36, fold="test")
    id = (await added(client, folds))["dataset_id"]
    other = (await added(client, faq(7)))["dataset_id"]
    planned = {"train_dataset": id, "dry_run": "true"}
    plan = (await client.post("/fine_tune_model/tuned", data=planned)).json()
    assert (plan["rows"], plan["eval_rows"], plan["test_rows"]) == (30, 5, 4)
    answer = await client.post("/fine_tune_model/tuned", data={**planned, "eval_dataset": other})
    assert answer.status_code == 422
    assert "rows whose fold is eval" in answer.json()["detail"]
    planned = {"train_dataset": other, "eval_dataset": id, "dry_run": "true"}
    plan = (await client.post("/fine_tune_model/tuned", json={**planned, "dry_run": True})).json()
    assert (plan["rows"], plan["eval_rows"]) == (7, 39)
    await client.post("/fine_tune_model/tuned", data={**planned, "dry_run": ""})
    [job] = shop.store.jobs.all()
    held_out = shop.directory(job).input("eval")
    assert held_out
    assert len(list(read_rows(held_out))) == 39


async def test_a_file_and_an_id_do_not_go_together(client: httpx2.AsyncClient) -> None:
    id = (await added(client))["dataset_id"]
    files = {"train_dataset": ("train.csv", csv_file().getvalue())}
    answer = await client.post("/fine_tune_model/tuned", data={"train_dataset": id}, files=files)
    assert answer.status_code == 422
    assert "train_dataset: Given twice" in answer.json()["detail"]
    mixed = {"eval_dataset": id, "dry_run": "true"}
    plan = await client.post("/fine_tune_model/tuned", data=mixed, files=files)
    assert plan.json()["eval_rows"] == 40


async def test_an_unknown_id_is_not_found(shop: Workshop, client: httpx2.AsyncClient) -> None:
    id = "ds_0123456789abcdef"
    answer = await client.post("/fine_tune_model/tuned", data={"train_dataset": id})
    assert answer.status_code == 404
    assert (await client.delete(f"/datasets/{id}")).status_code == 404
    answer = await client.post("/fine_tune_model/tuned", data={"train_dataset": "train.csv"})
    assert answer.status_code == 422
    assert "-F train_dataset=@FILE" in answer.json()["detail"]
    assert shop.left_behind() == []


async def test_what_cannot_be_read_is_refused_and_leaves_nothing(
    shop: Workshop, client: httpx2.AsyncClient
) -> None:
    for content, status in (
        (b"%PDF-1.7", 415),
        (b"question,answer\na,b\n", 422),
        (b"prompt,completion\na,\nb,c\n", 422),
    ):
        answer = await client.post("/datasets", files={"file": ("x.csv", content)})
        assert answer.status_code == status, answer.text
        assert answer.json()["where"] == "file"
    assert answer.json()["errors"][0] == {
        "row": 1,
        "column": "completion",
        "reason": "The cell is empty.",
        "expected": "text",
    }
    for data, field in (({"columns": "a:b"}, "columns"), ({"template": "{a"}, "template")):
        answer = await client.post("/datasets", data=data, files={"file": ("x.jsonl", faq())})
        assert answer.status_code == 422
        assert field in answer.json()["detail"]
    answer = await client.post("/datasets?baseModel=none", files={"file": ("x.jsonl", faq())})
    assert answer.status_code == 404
    assert not list(shop.settings.datasets_dir.glob("*"))


async def test_texts_are_refused_for_a_method_that_learns_from_conversations(
    client: httpx2.AsyncClient,
) -> None:
    id = (await added(client, columns="", template="{question}\n{answer}"))["dataset_id"]
    answer = await client.post("/fine_tune_model/tuned", data={"train_dataset": id})
    assert answer.status_code == 422
    assert "The rows are texts, and method=sft learns from conversations" in answer.json()["detail"]


async def test_the_files_of_a_dataset_are_its_source_and_rows_by_fold(
    shop: Workshop, client: httpx2.AsyncClient
) -> None:
    content = faq(3, fold="test") + faq(2, fold="train")
    folder = shop.settings.datasets_dir / (await added(client, content))["dataset_id"]
    assert (folder / "source.jsonl").read_bytes() == content
    assert [path_of(folder, fold).is_file() for fold in FOLDS] == [True, False, True]
