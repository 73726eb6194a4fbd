"""A submission says what it will need, and what cannot fit is refused before anything is loaded."""

import json
import shutil
import struct
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from finetune.job.hardware import GIB, Hardware
from finetune.preflight import history
from finetune.preflight.history import Record
from tests.finetune.preflight.cases import CPU, GPU
from tests.jobs.client import client_of
from tests.jobs.workshop import Workshop, csv_file

pytestmark = pytest.mark.anyio

URL = "/fine_tune_model/tuned"
SEVEN = {"baseModel": "seven"}


def lay_out_seven(folder: Path) -> None:
    """A base of seven billion parameters: its config and the header of its weights, of which nobody reads more."""
    folder.mkdir(parents=True)
    sizes = {"num_hidden_layers": 32, "hidden_size": 4096, "intermediate_size": 14336}
    (folder / "config.json").write_text(json.dumps({**sizes, "vocab_size": 32000}))
    shapes = {"model.embed_tokens.weight": [32000, 4096], "lm_head.weight": [32000, 4096]}
    for layer in range(32):
        for name, shape in (
            ("self_attn.q_proj", [4096, 4096]),
            ("self_attn.o_proj", [4096, 4096]),
            ("mlp.gate_proj", [14336, 4096]),
            ("mlp.up_proj", [14336, 4096]),
            ("mlp.down_proj", [4096, 14336]),
        ):
            shapes[f"model.layers.{layer}.{name}.weight"] = shape
    header = {name: {"dtype": "BF16", "shape": shape} for name, shape in shapes.items()}
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    shop = Workshop(tmp_path)
    lay_out_seven(shop.settings.base_models_dir / "seven")
    return shop


@pytest.fixture
async def client(shop: Workshop) -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(shop) as client:
        yield client


def files() -> dict[str, Any]:
    """The multipart form of one dataset."""
    return {"train_dataset": ("train.csv", csv_file().getvalue())}


@pytest.fixture(autouse=True)
def a_large_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the tests write, seven billion parameters have room."""
    usage = shutil.disk_usage(tmp_path)._replace(free=500 * GIB)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)


def has(shop: Workshop, machine: Hardware | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the jobs be trained there."""
    monkeypatch.setattr(shop.runner, "hardware", lambda _: machine)


async def test_what_does_not_fit_is_refused_with_numbers_and_with_what_would(
    shop: Workshop, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    has(shop, replace(GPU, vram=8 * GIB), monkeypatch)
    answer = await client.post(URL, params={**SEVEN, "bits": "16"}, files=files())
    problem = answer.json()
    assert (answer.status_code, problem["title"]) == (422, "Does not fit")
    assert (problem["resource"], problem["stage"]) == ("vram", "train")
    assert problem["needed_bytes"] > problem["available_bytes"] == 8 * GIB
    assert {"bits": 4} in [way["settings"] for way in problem["would_fit"]]
    assert "bits=4" in problem["detail"]
    assert shop.store.jobs.all() == []
    assert (await client.post(URL, params={**SEVEN, "bits": "4"}, files=files())).status_code == 202


async def test_too_little_disk_is_a_problem_of_space(
    shop: Workshop, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    has(shop, GPU, monkeypatch)
    usage = shutil.disk_usage(tmp_path)._replace(free=GIB)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    answer = await client.post(URL, params=SEVEN, files=files())
    assert (answer.status_code, answer.json()["resource"]) == (507, "disk")


async def test_a_dry_run_says_what_each_stage_will_need(
    shop: Workshop, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    has(shop, replace(CPU, avx512=False), monkeypatch)
    answer = await client.post(URL, params={**SEVEN, "dry_run": "true"}, files=files())
    preflight = answer.json()["preflight"]
    assert {"dataset", "train", "convert", "quantize"} <= set(preflight["seconds"])
    assert preflight["total_seconds"] == pytest.approx(sum(preflight["seconds"].values()), abs=1)
    assert preflight["ram_bytes"]["train"] > 4 * GIB
    assert preflight["disk_bytes"] > 14 * GIB
    assert {"bits": 16} in [faster["settings"] for faster in preflight["faster"]]
    assert preflight["earlier_runs"] == 0


async def test_a_job_keeps_what_was_predicted(
    shop: Workshop, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    has(shop, GPU, monkeypatch)
    job_id = (await client.post(URL, params=SEVEN, files=files())).json()["job_id"]
    shown = (await client.get(f"/jobs/{job_id}")).json()["preflight"]
    assert shown["predicted"]["vram_bytes"] > 4 * GIB
    assert "formula" not in shown["predicted"]


async def test_while_no_machine_is_known_nothing_is_predicted_and_nothing_refused(
    shop: Workshop, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    has(shop, None, monkeypatch)
    answer = await client.post(URL, params=SEVEN, files=files())
    assert answer.status_code == 202
    shown = (await client.get(f"/jobs/{answer.json()['job_id']}")).json()
    assert shown["preflight"] is None


async def test_earlier_runs_on_the_machine_correct_the_dry_run(
    shop: Workshop, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    has(shop, CPU, monkeypatch)
    before = (await client.post(URL, params={**SEVEN, "dry_run": "true"}, files=files())).json()[
        "preflight"
    ]
    said = before["figures"]
    real = {name: value * 1.5 for name, value in said.items()}
    about = (CPU.kind, "cpu", "seven", before["parameters"], 4)
    history.add(shop.jobs_dir, Record(*about, formula=said, real=real))
    after = (await client.post(URL, params={**SEVEN, "dry_run": "true"}, files=files())).json()[
        "preflight"
    ]
    assert after["earlier_runs"] == 1
    assert 1.3 < after["seconds"]["train"] / before["seconds"]["train"] <= 1.5
