"""A fine-tune learns the rows of a table or of a database as they were when it was submitted."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.routes.openai.conftest import sdk_over
from tests.service import Service, open_service
from tests.tables.shop import Shop

ROWS = [
    ("What is it?", f"Number {number}.", "valid" if number > 8 else "train")
    for number in range(1, 11)
]
CREATE = "CREATE TABLE faq (question TEXT, answer TEXT, part TEXT)"
COLUMNS = "question:prompt,answer:completion"


@pytest.fixture
def served(shop: Shop, tmp_path: Path) -> Iterator[Service]:
    """The service over a shop with questions, and a base to fine-tune."""
    rows = ", ".join(str(row) for row in ROWS)
    shop.run(CREATE, f"INSERT INTO faq VALUES {rows}")
    with open_service(tmp_path / "data", databases={"shop": shop.setting()}) as service:
        base = service.app.state.services.settings.base_models_dir / "demo"
        base.mkdir(parents=True)
        (base / "config.json").write_text("{}")
        yield service


def tuned(service: Service, status: int = 202, **fields: Any) -> Any:
    sent = {"baseModel": "demo", "columns": COLUMNS, **fields}
    answer = service.client.post("/fine_tune_model/tuned", json=sent)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_rows_of_a_database_are_copied_when_it_is_submitted(served: Service, shop: Shop) -> None:
    table = {"database": "shop", "table": "faq", "fold": "part"}
    plan = tuned(served, 200, train_table=table, dry_run=True)
    assert (plan["rows"], plan["eval_rows"]) == (8, 2)
    select = {"database": "shop", "select": "SELECT question, answer FROM faq WHERE part = 'train'"}
    job = tuned(served, train_table=select)["job_id"]
    shop.run("DELETE FROM faq")
    folder = served.app.state.services.settings.jobs_dir / job / "inputs"
    source = next(folder.glob("train.jsonl")).read_text()
    assert [json.loads(line)["answer"] for line in source.splitlines()] == [
        answer for _, answer, part in ROWS if part == "train"
    ]
    assert "database shop" in (folder.parent / "spec.json").read_text()


def test_rows_of_a_table_of_ours_stay_when_it_is_deleted(served: Service) -> None:
    content = "\n".join(["question,answer,part", *(",".join(row) for row in ROWS)]).encode()
    files = {"file": ("faq.csv", content)}
    assert served.client.post("/tables", data={"name": "faq"}, files=files).status_code == 201
    job = tuned(served, train_table={"table": "faq", "fold": "part"})["job_id"]
    assert served.client.delete("/tables/faq").status_code == 200
    source = served.app.state.services.settings.jobs_dir / job / "inputs" / "train.jsonl"
    assert json.loads(source.read_text().splitlines()[9]) == {
        "question": "What is it?",
        "answer": "Number 10.",
        "fold": "valid",
    }
    settings = served.app.state.services.settings
    assert not list(settings.tables_dir.iterdir())
    for wanted, status, where in (
        ({"table": "faq"}, 404, "faq"),
        ({"database": "shop", "table": "faq", "fold": "fold"}, 422, "no column 'fold'"),
        ({"database": "shop", "table": "nothing"}, 422, "nothing"),
        ({"database": "away", "table": "faq"}, 404, "away"),
        ({"select": "SELECT 1"}, 422, "database"),
        ({"table": "faq", "select": "SELECT 1"}, 422, "table"),
        ({}, 422, "table"),
    ):
        assert where in str(tuned(served, status, train_table=wanted)), wanted
    both = tuned(served, 422, train_table={"table": "faq"}, train_dataset="ds_0123456789abcdef")
    assert "train_table" in str(both)


TABLE = {"database": "shop", "table": "faq", "fold": "part"}


def added(service: Service) -> str:
    """The id of a table of ours with the rows."""
    content = "\n".join(["question,answer", *(",".join(row[:2]) for row in ROWS)]).encode()
    files = {"file": ("faq.csv", content)}
    answer = service.client.post("/tables", data={"name": "faq"}, files=files)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["table_id"])


def learned(service: Service, job: str) -> list[str]:
    """The answers in the rows that a job has been given."""
    folder = service.app.state.services.settings.jobs_dir / job / "inputs"
    lines = (folder / "train.jsonl").read_text().splitlines()
    return [json.loads(line)["answer"] for line in lines]


@pytest.mark.parametrize("shop", ["sqlite"], indirect=True)
def test_the_sdk_names_a_table_as_its_file_or_says_which_rows(served: Service, shop: Shop) -> None:
    table, jobs = added(served), sdk_over(served.client).fine_tuning.jobs
    chosen: Any = {"hyperparameters": {"columns": COLUMNS}}
    job = jobs.create(model="demo", training_file=table, suffix="demo", extra_body=chosen)
    assert learned(served, job.id) == [answer for _, answer, _ in ROWS]
    assert job.training_file == f"tables: {table}"
    job = jobs.create(model="demo", training_file="", extra_body={**chosen, "train_table": TABLE})
    assert job.training_file == "database shop: faq"
    assert len(learned(served, job.id)) == len(ROWS)
    for file, wanted, status, param in (
        (table, TABLE, 400, "train_table"),
        ("", None, 400, "training_file"),
        ("tb_0123456789abcdef", None, 404, "training_file"),
        ("", {"table": "away"}, 404, "train_table"),
        ("", {"database": "away", "table": "faq"}, 404, "train_table"),
        ("", {**TABLE, "fold": "away"}, 400, "train_table"),
        ("", {"select": "SELECT 1"}, 400, "train_table"),
        ("", {"database": "shop", "select": "SELECT 1 AS a"}, 400, "train_table"),
    ):
        body = {**chosen, "train_table": wanted}
        with pytest.raises(openai.APIStatusError) as caught:
            jobs.create(model="demo", training_file=file, extra_body=body)
        assert (caught.value.status_code, caught.value.param) == (status, param), (file, wanted)
