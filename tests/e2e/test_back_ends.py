"""Models on back ends answer as models here do: a persona over one, from documents that another one embeds."""

import pytest

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
