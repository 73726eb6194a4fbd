"""Bases of every form, put beside a real server by hand, are fine-tuned with default parameters and published."""

import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from finetune.checks.samples import CONVERSATIONS
from tests.e2e.conftest import Server
from tests.finetune.bases.forms import FORMS, make
from tests.finetune.conftest import question_rows
from tests.finetune.jobs import write_csv

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]
PATIENCE_SECONDS = 3000


def test_a_base_of_every_form_is_fine_tuned_and_published(server: Server, tmp_path: Path) -> None:
    for name in FORMS:
        make(name, server.data_dir / "base_models" / name)
    answer = {"role": "assistant", "content": "I am an assistant."}
    write_csv(tmp_path / "train.csv", [*question_rows()[:14], [*CONVERSATIONS[1], answer]])
    jobs = {name: submitted(server, name, tmp_path / "train.csv") for name in FORMS}
    ended = {name: end_of(server, id) for name, id in jobs.items()}
    for name, job in ended.items():
        sys.stdout.write(f"{name}: {job['status']} in {took(job)}, {job['error']}\n")
    assert {name: job["status"] for name, job in ended.items()} == dict.fromkeys(FORMS, "succeeded")


def submitted(server: Server, name: str, rows: Path) -> str:
    with rows.open("rb") as file:
        response = server.client.post(
            f"/fine_tune_model/tuned-{name}",
            params={"baseModel": name, "quantization": "F16"},
            files={"train_dataset": ("train.csv", file, "text/csv")},
        )
    assert response.status_code == 202, response.text
    return str(response.json()["job_id"])


def end_of(server: Server, id: str) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        job: dict[str, Any] = server.client.get(f"/jobs/{id}").json()
        if job["status"] in ("succeeded", "failed", "trained", "cancelled"):
            return job
        time.sleep(0.5)
    pytest.fail(f"job {id} did not end")


def took(job: dict[str, Any]) -> str:
    if job["ended_at"] is None:  # trained, and refused
        return "no time"
    begun, ended = (datetime.fromisoformat(job[when]) for when in ("started_at", "ended_at"))
    return f"{(ended - begun).total_seconds():.0f} s"
