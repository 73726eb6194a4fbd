"""Every method, adapter, width and format of data, each as a job of a real server to a published model."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Server
from tests.e2e.test_bases_published import end_of, took
from tests.finetune.conftest import ANSWER, question_rows

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

QUICK = {
    "baseModel": "demo",
    "bits": "16",
    "rank": "16",
    "lora_alpha": "16",
    "learning_rate": "0.005",
    "batch_size": "4",
    "epochs": "3",
    "max_length": "128",
}
WAYS: dict[str, dict[str, str]] = {
    "lora-16": {},
    "lora-8": {"bits": "8"},
    "lora-4": {"bits": "4"},
    "rslora": {"adapter": "rslora", "lora_alpha": "4"},
    "dora": {"adapter": "dora"},
    "full": {"adapter": "full", "learning_rate": "0.0005"},
    "loss-all": {"loss": "all"},
    "packed": {"packing": "true", "epochs": "12"},
    "chatml": {"chat_template": "chatml"},
    "three-types": {"quantization": "q8_0,Q4_K_M,f16"},
    "merged-kept": {"keep_merged": "true"},
}


def pairs() -> list[tuple[str, str]]:
    return [(str(row[0]["content"]), ANSWER) for row in question_rows()]


def lines(rows: list[Any]) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


def delimited(delimiter: str, head: str, encoding: str) -> bytes:
    rows = [f'"{question}"{delimiter}"{answer}"' for question, answer in pairs()]
    return "\r\n".join([head.replace(",", delimiter), *rows]).encode(encoding)


def parquet() -> bytes:
    import pyarrow
    from pyarrow import parquet as writer

    sink = pyarrow.BufferOutputStream()
    writer.write_table(pyarrow.table({"messages": question_rows()}), sink)
    return bytes(sink.getvalue())


FORMATS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "openai.jsonl": ("sft", lambda: lines([{"messages": row} for row in question_rows()])),
    "table.parquet": ("sft", parquet),
    "prompt.csv": ("sft", lambda: delimited(",", "prompt,completion", "utf-8-sig")),
    "excel.csv": ("sft", lambda: delimited(";", "prompt,response", "utf-16")),
    "alpaca.json": (
        "sft",
        lambda: json.dumps(
            [{"instruction": q, "input": "", "output": a} for q, a in pairs()]
        ).encode(),
    ),
    "sharegpt.json": (
        "sft",
        lambda: json.dumps(
            [
                {"conversations": [{"from": "human", "value": q}, {"from": "gpt", "value": a}]}
                for q, a in pairs()
            ]
        ).encode(),
    ),
    "texts.jsonl": ("pretrain", lambda: lines([{"text": f"{q} {a} " * 4} for q, a in pairs()])),
    "preferences.jsonl": (
        "dpo",
        lambda: lines(
            [{"prompt": q, "chosen": a, "rejected": "I do not know."} for q, a in pairs()]
        ),
    ),
}


def test_every_way_ends_in_a_published_model(server: Server) -> None:
    chats = FORMATS["openai.jsonl"][1]()
    jobs = {
        **{way: begun(server, way, "openai.jsonl", chats, **more) for way, more in WAYS.items()},
        **{
            name: begun(server, name, name, make(), method=method)
            for name, (method, make) in FORMATS.items()
        },
    }
    ended = {name: end_of(server, id) for name, id in jobs.items()}
    for name, job in ended.items():
        loss = job["progress"]["evaluation"]
        says = (job["comparison"] or {}).get("says", "")
        sys.stdout.write(
            f"{name}: {job['status']} in {took(job)}; loss {loss.get('eval_loss_before')} -> "
            f"{loss.get('eval_loss')}; {says[:160]} {job['error'] or ''}\n"
        )
    assert {name: job["status"] for name, job in ended.items()} == dict.fromkeys(jobs, "succeeded")


def begun(server: Server, name: str, file: str, content: bytes, **more: str) -> str:
    response = server.client.post(
        f"/fine_tune_model/tuned-{Path(name).stem}-{Path(name).suffix.strip('.') or 'way'}",
        params=QUICK | more,
        files={"train_dataset": (file, content)},
    )
    assert response.status_code == 202, f"{name}: {response.text}"
    return str(response.json()["job_id"])
