"""POST /adapters: what was trained elsewhere becomes a job, when its files are safe and fit its base."""

import io
import json
import shutil
import struct
import zipfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest

from finetune.job.spec import parse_spec, stages_of
from finetune.preflight.base import safetensors_header
from tests.finetune.jobs import DEMO_MODEL
from tests.jobs.client import client_of
from tests.jobs.workshop import Workshop

pytestmark = pytest.mark.anyio
RANK = 4
SETTINGS: dict[str, Any] = {
    "peft_type": "LORA",
    "r": RANK,
    "lora_alpha": 8,
    "target_modules": ["q_proj", "v_proj"],
    "base_model_name_or_path": "somebody/Demo",
}
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
SHAPES = {
    name: tuple(entry["shape"])
    for name, entry in safetensors_header(DEMO_MODEL / "model.safetensors")[1].items()
    if name.endswith(("q_proj.weight", "v_proj.weight"))
}


def weights(
    wider: int = 0, layers: Mapping[str, tuple[int, ...]] = SHAPES, embedding: int = 0
) -> bytes:
    """A safetensors file of zeros with a pair of matrices for each layer."""
    header, end = {}, 0
    for name, (rows, columns) in layers.items():
        for part, shape in (("A", [RANK, columns + wider]), ("B", [rows, RANK])):
            size = 4 * shape[0] * shape[1]
            key = f"base_model.model.{name.removesuffix('.weight')}.lora_{part}.weight"
            header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
            end += size
    if embedding:
        size = 4 * embedding * 256
        offsets = [end, end + size]
        key = "base_model.model.model.embed_tokens.weight"
        header[key] = {"dtype": "F32", "shape": [embedding, 256], "data_offsets": offsets}
        end += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


def zipped(files: Mapping[str, bytes | str], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def adapter(**changed: Any) -> dict[str, bytes | str]:
    return {CONFIG: json.dumps(SETTINGS | changed), WEIGHTS: weights()}


@pytest.fixture
async def shop(tmp_path: Path) -> Workshop:
    shop = Workshop(tmp_path, max_upload_bytes=2**21)
    base = shop.settings.base_models_dir / "demo"
    shutil.copytree(DEMO_MODEL, base, dirs_exist_ok=True)
    return shop


@pytest.fixture
async def client(shop: Workshop) -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(shop) as client:
        yield client


async def send(client: httpx2.AsyncClient, archive: bytes, **query: str) -> httpx2.Response:
    return await client.post(
        "/adapters",
        params={"modelName": "tuned", **query},
        files={"adapter": ("adapter.zip", archive)},
    )


async def test_a_zip_becomes_a_job_that_has_its_training_behind_it(
    shop: Workshop, client: httpx2.AsyncClient
) -> None:
    files = {f"checkpoint-9/{name}": content for name, content in adapter(use_rslora=True).items()}
    files["checkpoint-9/optimizer.pt"] = b"pickle"
    answer = await send(client, zipped(files), quantization="f16,Q8_0", keep_merged="true")
    assert answer.status_code == 202, answer.text
    job = shop.store.jobs.get(answer.json()["job_id"])
    assert answer.headers["location"] == f"/jobs/{job.id}"
    directory = shop.directory(job)
    spec = parse_spec(directory.spec_path.read_bytes())
    assert (spec.base_model, spec.method, spec.adapter, spec.rank) == (
        "demo",
        "adapter",
        "rslora",
        4,
    )
    assert stages_of(spec) == ("dataset", "merge", "convert", "quantize", "verify")
    assert spec.quantization == ("F16", "Q8_0")
    train = directory.stage("train")
    assert train.done() is not None
    assert sorted(path.name for path in (train.path / "adapter").iterdir()) == [CONFIG, WEIGHTS]
    assert (train.path / "adapter" / WEIGHTS).read_bytes() == weights()
    rows = directory.input("train")
    assert rows
    assert "capital of France" in rows.read_text()


async def test_two_files_and_rows_to_verify_on_are_taken_too(
    shop: Workshop, client: httpx2.AsyncClient
) -> None:
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]
    row = (json.dumps({"messages": turns}) + "\n").encode()
    answer = await client.post(
        "/adapters?modelName=tuned&baseModel=demo",
        files={
            "adapter_config": (CONFIG, json.dumps(SETTINGS | {"base_model_name_or_path": "x"})),
            "adapter_model": (WEIGHTS, weights()),
            "dataset": ("mine.jsonl", row * 5),
        },
    )
    assert answer.status_code == 202, answer.text
    directory = shop.directory(shop.store.jobs.get(answer.json()["job_id"]))
    spec = parse_spec(directory.spec_path.read_bytes())
    assert spec.datasets["train"].name == "mine.jsonl"


async def test_the_chat_template_it_was_trained_with_comes_along(
    shop: Workshop, client: httpx2.AsyncClient
) -> None:
    template = (
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}{{ eos_token }}{% endfor %}"
    )
    beside = {"tokenizer_config.json": json.dumps({"chat_template": template}), "train.py": "x"}
    answer = await send(client, zipped({**adapter(), **beside}))
    assert answer.status_code == 202, answer.text
    directory = shop.directory(shop.store.jobs.get(answer.json()["job_id"]))
    assert parse_spec(directory.spec_path.read_bytes()).chat_template == template
    own = directory.path / "train" / "tokenizer"
    assert (own / "chat_template.jinja").read_text() == template
    assert (own / "tokenizer.json").read_bytes() == (DEMO_MODEL / "tokenizer.json").read_bytes()


@pytest.mark.parametrize(
    ("archive", "says"),
    [
        (b"no zip", "cannot be read"),
        (zipped(adapter(), zipfile.ZIP_BZIP2), "usual method"),
        (zipped({"notes.txt": "x"}), "no adapter_config.json"),
        (zipped({f"{n}/{CONFIG}": "{}" for n in "ab"}), "2 adapter_config.json"),
        (zipped({CONFIG: "{}", "adapter_model.bin": "x"}), "a pickle"),
        (zipped({CONFIG: "{}"}), f"no {WEIGHTS}"),
        (zipped({CONFIG: "{", WEIGHTS: weights()}), "no JSON"),
        (zipped({CONFIG: "{}", WEIGHTS: weights()}), "no peft_type"),
        (zipped(adapter(peft_type="IA3")), "of type IA3"),
        (zipped(adapter(init_lora_weights="pissa")), "changes the base"),
        (zipped(adapter(bias="all")), "biases"),
        (zipped(adapter(r="4")), "r is '4'"),
        (zipped(adapter() | {WEIGHTS: weights()[:-1]}), "not as long as its header says"),
        (zipped(adapter() | {WEIGHTS: b"\xff" * 64}), "longer than it"),
        (zipped(adapter() | {WEIGHTS: weights(wider=1)}), "256 by 256 in the base"),
        (
            zipped(adapter() | {WEIGHTS: weights(layers=SHAPES, embedding=1538)}),
            "1536 rows in the base and 1538",
        ),
        (
            zipped(adapter() | {WEIGHTS: weights(layers={"model.layers.9.mlp.x.weight": (8, 8)})}),
            "no layer layers.9.mlp.x",
        ),
    ],
)
async def test_an_adapter_that_cannot_be_merged_is_refused_and_leaves_nothing(
    shop: Workshop, client: httpx2.AsyncClient, archive: bytes, says: str
) -> None:
    answer = await send(client, archive)
    assert (answer.status_code, answer.json()["title"]) == (422, "Adapter unusable"), answer.text
    assert says in answer.json()["detail"]
    assert shop.left_behind() == []
    assert shop.store.jobs.all() == []


async def test_a_bomb_is_refused_however_small_it_is(
    shop: Workshop, client: httpx2.AsyncClient
) -> None:
    bomb = zipped(adapter() | {WEIGHTS: bytes(8 * 2**20)})
    assert len(bomb) < 2**16
    lying = bomb.replace(struct.pack("<I", 8 * 2**20), struct.pack("<I", 1000))
    for archive in (bomb, lying):
        answer = await send(client, archive)
        assert answer.status_code in (413, 422), answer.text
    assert shop.left_behind() == []


async def test_paths_that_lead_out_are_never_written(
    shop: Workshop, client: httpx2.AsyncClient, tmp_path: Path
) -> None:
    out = {f"../../../{name}": content for name, content in adapter().items()}
    answer = await send(client, zipped({**out, "../../../../evil": "x", "/etc/evil": "x"}))
    assert answer.status_code == 202
    assert not list(tmp_path.parent.rglob("evil"))
    train = shop.directory(shop.store.jobs.get(answer.json()["job_id"])).path / "train"
    assert {path.name for path in train.rglob("*") if path.is_file()} == {
        *(CONFIG, WEIGHTS, "done.json"),
    }


async def test_an_unknown_base_is_named(client: httpx2.AsyncClient) -> None:
    archive = zipped(adapter(base_model_name_or_path="mistralai/Mistral-7B-v0.1"))
    answer = await send(client, archive)
    assert answer.status_code == 404
    assert "Mistral-7B-v0.1" in answer.json()["detail"]


async def test_nothing_sent_says_what_to_send(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/adapters?modelName=tuned&baseModel=demo")
    assert answer.status_code == 422
    assert "adapter_model.safetensors" in answer.json()["detail"]
