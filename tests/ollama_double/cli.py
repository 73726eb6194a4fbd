"""The `ollama` command of the stand-in: serve, and speak to a server."""

import argparse
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

_TIMEOUT = httpx2.Timeout(None, connect=5)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit status."""
    parser = argparse.ArgumentParser(prog="ollama")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve")
    serve.add_argument("--host", default=None)
    serve.add_argument("--port", type=int, default=None)
    serve.add_argument("--models", type=Path, default=None)
    serve.add_argument("--library", type=Path, default=None)
    for name in ("list", "ls", "ps"):
        commands.add_parser(name)
    for name in ("pull", "show", "rm", "stop"):
        commands.add_parser(name).add_argument("model")
    given = parser.parse_args(arguments)
    if given.command == "serve":
        return _serve(given)
    try:
        with httpx2.Client(base_url=_address(), timeout=_TIMEOUT, trust_env=False) as server:
            return _ask(server, given)
    except httpx2.TransportError:
        _say("Error: could not connect to ollama server, run 'ollama serve' to start it")
        return 1


def _ask(server: httpx2.Client, given: argparse.Namespace) -> int:
    if given.command == "pull":
        return _pull(server, given.model)
    calls: dict[str, tuple[str, str, Any]] = {
        "list": ("GET", "/api/tags", None),
        "ls": ("GET", "/api/tags", None),
        "ps": ("GET", "/api/ps", None),
        "show": ("POST", "/api/show", {"model": getattr(given, "model", "")}),
        "rm": ("DELETE", "/api/delete", {"model": getattr(given, "model", "")}),
        "stop": ("POST", "/api/generate", {"model": getattr(given, "model", ""), "keep_alive": 0}),
    }
    method, path, body = calls[given.command]
    answer = server.request(method, path, json=body)
    if answer.status_code != httpx2.codes.OK:
        _say(f"Error: {answer.json()['error']}")
        return 1
    if given.command == "rm":
        _print(f"deleted '{given.model}'")
    elif given.command == "show":
        _print(answer.json()["modelfile"])
    elif given.command != "stop":
        _table(answer.json()["models"])
    return 0


def _pull(server: httpx2.Client, model: str) -> int:
    with server.stream("POST", "/api/pull", json={"model": model}) as answer:
        for line in answer.iter_lines():
            told = json.loads(line)
            if "error" in told:
                _say(f"Error: {told['error']}")
                return 1
            _say(told["status"] + (_progress(told) if told.get("total") else ""))
    return 0


def _progress(told: dict[str, Any]) -> str:
    done, total = told["completed"], told["total"]
    bar = "#" * (20 * done // total)
    return f": {100 * done // total:>3}% |{bar:<20}| {done / 1e6:.1f} MB/{total / 1e6:.1f} MB"


def _table(models: list[dict[str, Any]]) -> None:
    _print(f"{'NAME':<40} {'ID':<14} SIZE")
    for model in models:
        _print(f"{model['name']:<40} {model['digest'][:12]:<14} {model['size'] / 1e6:.1f} MB")


def _serve(given: argparse.Namespace) -> int:
    import uvicorn

    from tests.ollama_double.config import from_environment
    from tests.ollama_double.running import uvicorn_config
    from tests.ollama_double.server import create_app

    address = urlsplit(_address())
    host = given.host or address.hostname or "127.0.0.1"
    port = address.port if given.port is None else given.port
    models = given.models or Path(os.environ.get("OLLAMA_MODELS", Path.home() / ".ollama/models"))
    library = given.library or os.environ.get("OLLAMA_DOUBLE_LIBRARY")
    loopback = host in ("127.0.0.1", "::1", "localhost")
    config = from_environment(models, Path(library) if library else None, is_loopback=loopback)
    with socket.create_server((host, port or 0)) as listener:
        _print(f"http://{host}:{listener.getsockname()[1]}")
        server = uvicorn.Server(uvicorn_config(create_app(config)))
        for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises again what ended it
            signal.signal(number, lambda *_: None)
        server.run(sockets=[listener])
    return 0


def _address() -> str:
    host = os.environ.get("OLLAMA_HOST") or "127.0.0.1:11434"
    host = host if "://" in host else f"http://{host}"
    port = urlsplit(host).port
    return host if port else f"{host.rstrip('/')}:11434"


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
