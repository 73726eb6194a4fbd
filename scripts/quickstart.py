"""Drives the whole main job over HTTP, shows each request with its answer, and checks what it shows.

Run it through `scripts/quickstart.sh`. Exits non-zero when an answer is not what it must be.
"""

import argparse
import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
from pypdf import PdfReader

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
STATE = ROOT / ".quickstart"
PID_FILE = STATE / "server.pid"
INSTALL_LOG = STATE / "install.log"
DEMO_SETTINGS = {  # what the demo model was made for: few passages, of a topic each
    "LLM_FASTAPI_PASSAGES": "3",
    "LLM_FASTAPI_CHUNK_TOKENS": "32",
    "LLM_FASTAPI_CHUNK_OVERLAP_TOKENS": "0",
}
TERMINAL = sys.stdout.isatty()
BOLD, DIM, GREEN, RESET = ("\033[1m", "\033[2m", "\033[32m", "\033[0m") if TERMINAL else [""] * 4


class Unexpected(Exception):
    """Something was not as it must be."""


def main() -> int:
    """Run it all; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--began", type=float, default=time.time(), help=argparse.SUPPRESS)
    parser.add_argument("--once", action="store_true", help="stop the server in the end")
    arguments = parser.parse_args()
    questions = json.loads((EXAMPLES / "questions.json").read_text())
    base_url, server = start_server()
    installation = install_training()
    try:
        with httpx2.Client(base_url=base_url, timeout=300) as client:
            wait_until_ready(client)
            forget_earlier_run(client, questions)
            make_persona(client, questions["persona"])
            ask_document(client, questions)
            print(
                f"{DIM}({time.time() - arguments.began:.0f} s until here, with the installing){RESET}"
            )
            wait_for_training(installation)
            fine_tune(client, questions)
    except (Unexpected, httpx2.HTTPError) as error:
        print(f"\nQuickstart failed: {error}\nThe server's log: {STATE / 'server.log'}")
        installation.terminate()
        stop_server(server.pid)
        return 1
    print(
        f"\n{GREEN}All of it worked, in {time.time() - arguments.began:.0f} s with the installing.{RESET}"
    )
    if arguments.once:
        stop_server(server.pid)
    else:
        say_what_goes_on(base_url, server.pid)
    return 0


def say_what_goes_on(base_url: str, pid: int) -> None:
    """Where the server is, what it runs with, and what another run would do to it."""
    settings = " ".join(f"{name}={value}" for name, value in DEMO_SETTINGS.items())
    print(f"The server goes on at {base_url}; try it in the browser: {base_url}/docs")
    print(f"It runs with {settings}, its data lies in {STATE.relative_to(ROOT) / 'data'}.")
    print(
        "Running this again begins `ada`, its `handbook` and `tuned` anew: give yours other names,"
    )
    print("or start a server of your own: .venv/bin/llm-fastapi")
    print(f"Stop it with: kill {pid}")


# The server


def start_server() -> tuple[str, subprocess.Popen[bytes]]:
    """A server of this checkout on loopback, in place of one that an earlier run left."""
    STATE.mkdir(exist_ok=True)
    with contextlib.suppress(OSError, ValueError):
        stop_server(int(PID_FILE.read_text()))
    port = free_port(int(os.environ.get("LLM_FASTAPI_PORT", "3000")))
    environment = os.environ | {
        "LLM_FASTAPI_DATA_DIR": str(STATE / "data"),
        "LLM_FASTAPI_HOST": "127.0.0.1",
        "LLM_FASTAPI_PORT": str(port),
        **DEMO_SETTINGS,
    }
    print(f"{DIM}$ python -m api{RESET}")
    with (STATE / "server.log").open("ab") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "api"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    PID_FILE.write_text(str(server.pid))
    return f"http://127.0.0.1:{port}", server


def install_training() -> subprocess.Popen[bytes]:
    """Bring what fine-tuning needs, which takes longer than the first answers."""
    with INSTALL_LOG.open("wb") as log:
        return subprocess.Popen(
            [ROOT / "scripts" / "install.sh", "finetune"], stdout=log, stderr=log
        )


def wait_for_training(installation: subprocess.Popen[bytes]) -> None:
    """Say so while it lasts."""
    began = time.monotonic()
    if installation.poll() is None:
        lasting(f"{DIM}What trains is still being installed ...{RESET}")
    while installation.poll() is None:
        passing(f"what trains is being installed: {time.monotonic() - began:.0f} s")
        time.sleep(0.3)
    if installation.returncode:
        raise Unexpected(f"scripts/install.sh finetune to succeed; its log: {INSTALL_LOG}")


def stop_server(pid: int) -> None:
    """Ask a server that we started to end, and wait until it has."""
    if b"api" not in command_line(pid):
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 20
    while command_line(pid) and time.monotonic() < deadline:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        time.sleep(0.1)


def command_line(pid: int) -> bytes:
    """The command of a living process, empty when there is none."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def free_port(wanted: int) -> int:
    """The wanted port, or any free one when it is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise Unexpected("no free port")


def wait_until_ready(client: httpx2.Client) -> None:
    """The first start converts the bundled models; say so while it lasts."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx2.TransportError):
            answer = client.get("/readyz").json()
            if answer["status"] == "ready":
                lasting("ready")
                return
            waiting = [f"{name} {state}" for name, state in answer["checks"].items()]
            passing("; ".join(text for text in waiting if not text.endswith(" ready")))
        time.sleep(0.3)
    raise Unexpected("the server did not become ready")


def forget_earlier_run(client: httpx2.Client, questions: dict[str, Any]) -> None:
    """Delete what an earlier run made, so that this one makes it again."""
    persona = questions["persona"]["name"]
    for path in (
        f"/deleteAll_Documents?modelName={persona}",
        f"/deleteModel/{persona}",
        "/deleteModel/tuned",
    ):
        client.delete(path)


# The main job


def make_persona(client: httpx2.Client, persona: dict[str, str]) -> None:
    """createModel, then a greeting."""
    title("A persona over the demo model")
    request(
        client,
        "POST",
        f"/createModel/{persona['name']}",
        {"baseModel": "demo", "system": persona["system"]},
        status=201,
    )
    answer = stream(client, {"modelName": persona["name"], "user_prompt": persona["question"]})
    expect(persona["expected"] in answer["text"], f"a greeting with {persona['expected']!r}")


def ask_document(client: httpx2.Client, questions: dict[str, Any]) -> None:
    """importDocument, then questions whose answers must be on the cited page."""
    title("A document, and answers with page citations")
    model = questions["persona"]["name"]
    handbook = EXAMPLES / "handbook.pdf"
    upload(client, "/importDocument", {"modelName": model}, {"file": handbook}, status=201)
    request(client, "GET", "/list_documents", {"modelName": model})
    page_texts = [page.extract_text() for page in PdfReader(handbook).pages]
    for question in questions["document_questions"][:3]:
        answer = stream(
            client,
            {"modelName": model, "user_prompt": question["question"], "documents": "handbook.pdf"},
        )
        cited = [page_texts[citation["page"] - 1] for citation in answer["citations"]]
        value = question["value"]
        expect(value in answer["text"], f"the value {value!r} in the answer")
        expect(any(value in text for text in cited), f"{value!r} on a cited page")
    for question in questions["unanswerable"][:1]:
        answer = stream(
            client, {"modelName": model, "user_prompt": question, "documents": "handbook.pdf"}
        )
        expect(not answer["citations"], "no citation where the handbook has no answer")


def fine_tune(client: httpx2.Client, questions: dict[str, Any]) -> None:
    """fine_tune_model, then base and tuned model on the same held-out question."""
    title("A fine-tune from a CSV of conversations")
    question = questions["fine_tune"][0]
    ask = {"user_prompt": question["question"], "temperature": 0}
    before = stream(client, {"modelName": "demo", **ask})
    expect(question["value"] not in before["text"], "the base does not know it")
    job = upload(
        client,
        "/fine_tune_model/tuned",
        {"baseModel": "demo", **questions["fine_tune_parameters"]},
        {"train_dataset": EXAMPLES / "train.csv", "eval_dataset": EXAMPLES / "eval.csv"},
        status=202,
    )
    follow(client, job["job_id"])
    after = stream(client, {"modelName": "tuned", **ask})
    expect(question["value"] in after["text"], f"the tuned model says {question['value']!r}")
    request(client, "GET", "/list_models", {"details": "true"})


def follow(client: httpx2.Client, job_id: str) -> None:
    """Show a job's live events as progress until it has ended."""
    print(f"{DIM}$ curl -N {client.base_url}/jobs/{job_id}/events{RESET}")
    with client.stream("GET", f"/jobs/{job_id}/events") as response:
        for event, data in server_events(response):
            show_progress(event, data)
    job = client.get(f"/jobs/{job_id}").json()
    lasting(f"job {job['status']}\n")
    expect(job["status"] == "succeeded", f"the job to succeed, not {job.get('error')}")


def show_progress(event: str, data: dict[str, Any]) -> None:
    """A bar for what goes on, a line for what is done."""
    stage = data.get("stage", "")
    if event == "progress" and data.get("steps"):
        done = round(30 * data["step"] / data["steps"])
        bar = "#" * done + "." * (30 - done)
        loss = f"loss {data['loss']:.3f}" if data.get("loss") is not None else ""
        eta = f"{data['eta_seconds']:.0f} s left" if data.get("eta_seconds") else ""
        passing(f"{stage:9} [{bar}] {data['step']}/{data['steps']} {loss} {eta}")
    elif event == "stage_started":
        passing(f"{stage:9} ...")
    elif event == "stage_done":
        lasting(f"{stage:9} done in {data.get('seconds', 0):.0f} s")
    elif event == "evaluated":
        before, after = data["eval_loss_before"], data["eval_loss"]
        lasting(f"{stage:9} loss on held-out rows {before:.2f} before, {after:.2f} after")


# One request, shown as curl would send it


def request(
    client: httpx2.Client, method: str, path: str, query: dict[str, str], status: int = 200
) -> Any:
    """Send it, print it and its answer."""
    url = client.build_request(method, path, params=query).url
    print(f"{DIM}$ curl -X {method} {shlex.quote(str(url))}{RESET}")
    return checked(client.request(method, path, params=query), status)


def upload(
    client: httpx2.Client, path: str, query: dict[str, Any], files: dict[str, Path], status: int
) -> Any:
    """Send files as a form, print the request and its answer."""
    url = client.build_request("POST", path, params=query).url
    parts = " ".join(f"-F {name}=@{file.relative_to(ROOT)}" for name, file in files.items())
    print(f"{DIM}$ curl {shlex.quote(str(url))} {parts}{RESET}")
    with contextlib.ExitStack() as stack:
        opened = {
            name: (file.name, stack.enter_context(file.open("rb"))) for name, file in files.items()
        }
        return checked(client.post(path, params=query, files=opened), status)


def checked(response: httpx2.Response, status: int) -> Any:
    """The answer's JSON, printed; raises unless it has the status."""
    text = json.dumps(response.json(), ensure_ascii=False)
    print(f"{response.status_code} {text if len(text) < 400 else text[:400] + ' ...'}\n")
    expect(response.status_code == status, f"status {status}")
    return response.json()


def stream(client: httpx2.Client, body: dict[str, Any]) -> dict[str, Any]:
    """generate, printed as it comes; returns text, citations and receipt."""
    print(f"{DIM}$ curl -N {client.base_url}/generate -d stream=true", end="")
    print("".join(f" -d {shlex.quote(f'{name}={value}')}" for name, value in body.items()) + RESET)
    text, citations, receipt = "", [], None
    with client.stream("POST", "/generate", data={"stream": "true", **body}) as response:
        if response.status_code != 200:
            response.read()
            checked(response, 200)
        for event, data in server_events(response):
            if event == "token":
                text += data["text"]
                print(BOLD + data["text"] + RESET, end="", flush=True)
            elif event == "citation":
                citations.append(data)
                print(
                    f"\n  [{data['n']}] {data['document']}, page {data['page']}: {data['quote']!r}",
                    end="",
                )
            elif event == "receipt":
                receipt = data
            elif event == "error":
                raise Unexpected(data["detail"])
    print("\n")
    return {"text": text, "citations": citations, "receipt": receipt}


def server_events(response: httpx2.Response) -> Iterator[tuple[str, Any]]:
    """(event, data) of a server-sent event stream."""
    event, data = "message", ""
    for line in response.iter_lines():
        if line.startswith("event:"):
            event = line[6:].strip()
        elif line.startswith("data:"):
            data += line[5:].strip()
        elif not line and data:
            yield event, json.loads(data)
            event, data = "message", ""


def expect(condition: bool, what: str) -> None:
    """Raise when something is not as it must be."""
    if not condition:
        raise Unexpected(f"expected {what}")


def title(text: str) -> None:
    """A headline."""
    print(f"\n{BOLD}== {text}{RESET}\n")


def passing(text: str) -> None:
    """A line that the next one writes over; outside a terminal nothing."""
    if TERMINAL:
        print(f"\r{text[:100]:100}", end="", flush=True)


def lasting(text: str) -> None:
    """A line that stays."""
    print(f"\r{text:100}" if TERMINAL else text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
