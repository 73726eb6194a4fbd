"""Models on back ends answer as models here do: from documents that another one embeds, and by transformers."""

import json
import time
from pathlib import Path

import numpy
import pytest
from safetensors.numpy import save_file

from tests.contracts.llama_server import KEY
from tests.e2e.conftest import ROOT, Server

pytestmark = pytest.mark.real
QUESTION = "What does a parking pass cost?"


def test_a_persona_over_a_back_end_answers_with_checked_citations(
    server: Server, llama_servers: dict[str, str]
) -> None:
    client = server.client
    for name, abilities in (("demo", ["chat", "json_schema"]), ("embedder", ["embed"])):
        said = {
            "provider": "llama.cpp",
            "base_url": llama_servers[name],
            "key": KEY,
            "models": {f"far-{name}": {"remote": "x", "capabilities": abilities}},
        }
        made = client.post(f"/backends/{name}", json=said)
        assert made.status_code == 201, made.text
        assert made.json()["fault"] is None
    persona = {"baseModel": "far-demo", "embedder": "far-embedder"}
    assert client.post("/createModel/ada", json=persona).status_code == 201
    handbook = {"file": ("handbook.pdf", (ROOT / "examples" / "handbook.pdf").read_bytes())}
    imported = client.post("/importDocument", params={"modelName": "ada"}, files=handbook)
    assert imported.status_code == 201, imported.text
    asked = {"modelName": "ada", "user_prompt": QUESTION, "temperature": 0}
    answer = client.post("/generate", json={**asked, "documents": ["handbook"]}).json()
    assert "40 euros [1]" in answer["message"], answer
    assert [(one["document"], one["supported"]) for one in answer["citations"]] == [
        ("handbook.pdf", True)
    ]
    assert answer["receipt"]["tokens"]["exact"]
    collections = client.get("/collections").text
    assert "far-embedder" in collections


def untrained(folder: Path, layers: int = 6, width: int = 256, rank: int = 2) -> None:
    """An adapter of PEFT's form on the queries of each layer of the demo model, that changes nothing yet."""
    folder.mkdir(parents=True)
    chosen = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": rank}
    settings = {**chosen, "target_modules": ["q_proj"], "base_model_name_or_path": "demo"}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    name = "base_model.model.model.layers.{}.self_attn.q_proj.lora_{}.weight"
    shapes = {"A": (rank, width), "B": (width, rank)}
    fill = {"A": numpy.ones, "B": numpy.zeros}
    weights = {
        name.format(n, one): fill[one](shapes[one], numpy.float32)
        for n in range(layers)
        for one in shapes
    }
    save_file(weights, folder / "adapter_model.safetensors")


def test_a_persona_over_transformers_in_four_bits_with_an_adapter(server: Server) -> None:
    untrained(server.data_dir / "base_models" / "untrained")
    wanted = {"kind": "causal", "model": "demo", "bits": 4, "adapter": "untrained"}
    made = server.client.post("/backends/cellar", json={"launch": "process", "server": wanted})
    assert made.status_code == 201, made.text
    persona = {"baseModel": "cellar", "parameters": {"temperature": 0}}
    assert server.client.post("/createModel/ada", json=persona).status_code == 201
    asked = {"modelName": "ada", "user_prompt": "Hello"}
    while (answer := server.client.post("/generate", json=asked)).status_code == 503:
        time.sleep(0.5)
        told = server.client.get("/backends/cellar").json()["server"]
        assert told["state"] in ("starting", "ready"), told
    assert answer.json()["message"] == "Hello, I am a small assistant. How can I help you?"
    told = server.client.get("/backends/cellar").json()
    assert "with an adapter on 6 layers" in " ".join(told["server"]["log"])
    assert told["models"]["cellar"]["context_length"] == 4096  # as the server says once it is ready
    counted = server.client.post(
        "/v1/chat/completions",
        json={"model": "ada", "messages": [{"role": "user", "content": "Hello"}]},
    ).json()["usage"]
    assert (counted["prompt_tokens"], counted["completion_tokens"]) == (12, 15)
    server.kill()  # none of its children is left behind
