"""`python -m api` (installed as `llm-fastapi`): serve, doctor, settings."""

import argparse
import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Sequence

import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError

from api.app import create_app
from api.doctor import examine
from api.errors import ApiError, CannotStart
from api.http_protocol import MAX_HEAD_BYTES, HttpProtocol
from api.security import require_safe_listening
from api.settings import Settings, settings_table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status. What forbids the start is one line on stderr."""
    parser = argparse.ArgumentParser(prog="llm-fastapi", description="Your own language models.")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("serve", help="serve the API (the default)")
    doctor = commands.add_parser("doctor", help="check the state, and repair it")
    doctor.add_argument("--check", action="store_true", help="only say what is off")
    commands.add_parser("settings", help="print the table of settings")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "settings":
            print(settings_table(), end="")
            return 0
        settings = Settings()
        if chosen.command == "doctor":
            return _doctor(settings, repair=not chosen.check)
        return _serve(settings)
    except (CannotStart, ApiError) as error:
        print(f"llm-fastapi: {error}", file=sys.stderr)
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"]).upper()
            print(f"llm-fastapi: LLM_FASTAPI_{name}: {problem['msg']}", file=sys.stderr)
    return 1


def _serve(settings: Settings) -> int:
    require_safe_listening(settings)
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises them again when it has ended
        signal.signal(number, lambda *_: sys.exit(0))
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for chatty in ("httpx2", "alembic"):
        logging.getLogger(chatty).setLevel("WARNING")
    for complaining in ("uvicorn.error", "python_multipart"):  # of clients, who are told
        logging.getLogger(complaining).setLevel("ERROR")
    listener = _listen(settings.host, settings.port)
    server = uvicorn.Server(server_config(create_app(settings), settings.shutdown_seconds))
    host, port = listener.getsockname()[:2]
    logging.getLogger("api").info("serving on http://%s:%s (try /docs)", host, port)
    server.run(sockets=[listener])
    return 0 if server.started else 1


def server_config(app: FastAPI, shutdown_seconds: int) -> uvicorn.Config:
    """How the app is served: one process, HTTP/1.1 within bounds, no log of what clients ask."""
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,  # paths carry prompts in their query
        server_header=False,
        timeout_graceful_shutdown=shutdown_seconds,
        http=HttpProtocol,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        ws="none",
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise CannotStart(
            f"Cannot listen on {host}:{port} ({error.strerror}). Set LLM_FASTAPI_PORT to a free port."
        ) from error
    listener.set_inheritable(False)
    return listener


def _doctor(settings: Settings, *, repair: bool) -> int:
    logging.basicConfig(level="WARNING")
    findings = asyncio.run(examine(settings, repair=repair))
    for text, repaired in findings:
        print(f"{'repaired' if repaired else 'found'}: {text}")
    if not findings:
        print("All is well.")
    return 0 if all(repaired for _, repaired in findings) else 1


if __name__ == "__main__":
    sys.exit(main())
