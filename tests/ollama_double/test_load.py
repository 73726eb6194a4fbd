"""How the double queues, loses its clients and its processes; the command, and the client's library."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import ollama
import psutil
import pytest

from tests.ollama_double.asking import WORDS, Server, llama, until
from tests.ollama_double.conftest import Opener
from tests.ollama_double.rows import HI, SHORT
from tests.ollama_double.runner import Launch, Runner
from tests.ollama_double.running import copy_layout
from tests.runtime.conftest import is_gone

pytestmark = pytest.mark.real
BROKEN_OFF = "an error was encountered while running the model: unexpected EOF"
ENDLESS_CHAT = {
    "model": "demo",
    "messages": HI,
    "format": WORDS,
    "options": {**SHORT, "num_predict": 40_000},
}


def test_a_loaded_model_serves_one_after_another_without_a_bound(open_server: Opener) -> None:
    server = open_server(max_queue=1)
    server.chat()
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: server.chat(), range(10)))
    assert [answer["status"] for answer in answers] == [200] * 10


def test_too_many_that_wait_for_a_load_are_refused(
    open_server: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, may_load, start = open_server(max_queue=1), threading.Event(), Runner.start

    async def held(launch: Launch) -> Runner:
        await asyncio.to_thread(may_load.wait)
        return await start(launch)

    monkeypatch.setattr(Runner, "start", held)
    with ThreadPoolExecutor(10) as pool:
        asked = [pool.submit(server.chat) for _ in range(10)]
        try:
            until(lambda: sum(one.done() for one in asked) == 8)
        finally:
            may_load.set()
        answers = [one.result() for one in asked]
    assert sorted(answer["status"] for answer in answers) == [200] * 2 + [503] * 8
    told = {answer["error"] for answer in answers if answer["status"] == 503}
    assert told == {"server busy, please try again.  maximum pending requests exceeded"}


def test_a_client_that_goes_frees_the_model(server: Server) -> None:
    with server.http.stream("POST", "/api/chat", json=ENDLESS_CHAT) as answer:
        assert next(answer.iter_lines())
    assert server.chat()["status"] == 200
    with pytest.raises(httpx2.ReadTimeout):
        server.http.post("/api/chat", json={**ENDLESS_CHAT, "stream": False}, timeout=0.5)
    assert server.chat()["status"] == 200


def test_a_process_that_is_killed_breaks_off_a_stream_and_is_started_anew(
    open_server: Opener,
) -> None:
    server = open_server()
    with server.http.stream("POST", "/api/chat", json=ENDLESS_CHAT) as answer:
        lines = answer.iter_lines()
        assert next(lines)
        llama(server).kill()
        *_, last = lines
    assert json.loads(last) == {"error": BROKEN_OFF}
    assert server.chat()["status"] == 200


def test_a_process_that_is_killed_breaks_off_a_whole_answer(open_server: Opener) -> None:
    server = open_server()
    server.chat()
    child = llama(server)
    spent = child.cpu_times().user
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(lambda: server.ask("/api/chat", **ENDLESS_CHAT))
        until(lambda: child.cpu_times().user > spent + 0.1)
        child.kill()
        assert asked.result() == {"error": BROKEN_OFF, "status": 500}
    assert server.chat()["status"] == 200


def test_the_client_library_works_and_sees_errors_within_streams(server: Server) -> None:
    client = ollama.Client(host=str(server.http.base_url))
    client.create(model="by-client", files={"m.gguf": server.uploads["good"]}, system="Hi.")
    answer = client.chat("by-client", messages=HI, options=SHORT)
    assert answer.message.content
    assert answer.prompt_eval_count
    with pytest.raises(ollama.ResponseError) as refusal:
        list(client.create(model="x", files={"m.gguf": server.uploads["text"]}, stream=True))
    assert refusal.value.status_code == -1
    with pytest.raises(ollama.ResponseError) as refusal:
        client.show("nope")
    assert refusal.value.status_code == 404


def test_the_command_serves_speaks_and_ends_with_its_processes(
    layout: Path, demo_gguf: Path, tmp_path: Path
) -> None:
    copy_layout(layout, tmp_path / "models")
    library = tmp_path / "library"
    library.mkdir()
    (library / "llama3.gguf").hardlink_to(demo_gguf)
    command = [sys.executable, "-m", "tests.ollama_double"]
    options = ["--port", "0", "--models", str(tmp_path / "models"), "--library", str(library)]
    serving = subprocess.Popen([*command, "serve", *options], stdout=subprocess.PIPE, text=True)
    try:
        assert serving.stdout
        url = serving.stdout.readline().strip()

        def run(*words: str) -> subprocess.CompletedProcess[str]:
            env = {**os.environ, "OLLAMA_HOST": url}
            return subprocess.run([*command, *words], env=env, capture_output=True, text=True)

        assert "demo:latest" in run("list").stdout
        pulled = run("pull", "llama3")
        assert (pulled.returncode, pulled.stderr.splitlines()[-1]) == (0, "success")
        missing = run("pull", "nobody")
        assert (missing.returncode, missing.stderr.splitlines()[-1]) == (
            1,
            "Error: pull model manifest: file does not exist",
        )
        with httpx2.stream(
            "POST", f"{url}/api/chat", json=ENDLESS_CHAT, timeout=60, trust_env=False
        ) as answer:
            assert next(answer.iter_lines())
            (child,) = psutil.Process(serving.pid).children()
            serving.send_signal(signal.SIGTERM)
            assert serving.wait(60) == 0
        assert is_gone(child.pid)
    finally:
        serving.kill()
        serving.wait()
