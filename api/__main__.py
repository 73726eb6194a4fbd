"""`python -m api` (installed as `llm-fastapi`): serve, doctor, clean, backup, keys, settings.

Each command imports what it works with by itself: `serve` listens before it loads the app, which takes longest.
"""

import argparse
import asyncio
import difflib
import gc
import logging
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from starlette.types import ASGIApp

from api.auth.commands import add_commands, run
from api.errors import ApiError, CannotStart
from api.http.gate import require_safe_listening
from api.http.observe import log_handler
from api.http.protocol import MAX_HEAD_BYTES, HttpProtocol
from api.http.starting import Starting
from api.settings import Settings
from api.settings.environment import unknown_variables, unreadable_lines
from api.settings.page import settings_table

PREFIX = "LLM_FASTAPI_"
COLLECTED = 10_000, 5, 50
"""New objects until a collection looks at the young ones, how many of those until one looks at the older, and of these
until one looks at all: every answer waits for it, 180 ms with Python's own 700, 10, 10 while 300 streams began, at most
70 with these.
"""
SHOWN = 20
"""Lines that `clean` shows of what it would delete."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status. What forbids the start is one line on stderr."""
    parser = argparse.ArgumentParser(
        prog="llm-fastapi",
        description="Your own language models.",
        epilog=f"Port, data folder and the like are settings: {PREFIX}PORT=4000 llm-fastapi",
    )
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("serve", help="serve the API (the default)")
    doctor = commands.add_parser("doctor", help="check the state, and repair it")
    ways = doctor.add_mutually_exclusive_group()
    ways.add_argument("--check", action="store_true", help="only say what is off")
    ways.add_argument(
        "--adopt", action="store_true", help="take back documents, jobs and models without a row"
    )
    ways.add_argument("--purge", action="store_true", help="delete what lies in lost/, only that")
    cleaner = commands.add_parser(
        "clean", help="delete all documents, vectors, created models or ended jobs"
    )
    cleaner.add_argument("what", choices=["documents", "vectors", "models", "jobs"])
    cleaner.add_argument("--all", action="store_true", help="of the models, the bases too")
    cleaner.add_argument("--check", action="store_true", help="only say what would be deleted")
    cleaner.add_argument("--yes", action="store_true", help="do not ask")
    backup = commands.add_parser("backup", help="copy all that lasts, also while the service runs")
    backup.add_argument("folder", metavar="DIR", type=Path, help="a new or empty folder")
    add_commands(commands.add_parser("keys", help="make, list, revoke and rotate keys"))
    commands.add_parser("settings", help="print the table of settings")
    _refuse_settings(parser, sys.argv[1:] if arguments is None else arguments)
    chosen = parser.parse_args(arguments)
    if chosen.command == "clean" and chosen.all and chosen.what != "models":
        cleaner.error("--all is for models")
    try:
        if chosen.command == "settings":
            print(settings_table(), end="")
            return 0
        settings = _settings()
        if chosen.command in ("doctor", "backup", "clean", "keys"):
            _warn_of_unreadable_lines()
        if chosen.command == "doctor":
            return _doctor(settings, chosen)
        if chosen.command == "backup":
            return _back_up(settings, chosen.folder)
        if chosen.command == "clean":
            return _clean(settings, chosen)
        if chosen.command == "keys":
            run(settings, chosen)
            return 0
        return _serve(settings)
    except (CannotStart, ApiError) as error:
        for line in str(error).splitlines():
            print(f"llm-fastapi: {line}", file=sys.stderr)
    return 1


def _refuse_settings(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """`--port 4000` and its like, which people know from other servers."""
    for argument in arguments:
        name = argument.removeprefix("--").partition("=")[0].replace("-", "_").lower()
        if argument.startswith("--") and name in Settings.model_fields:
            parser.error(
                f"{argument.partition('=')[0]} is a setting: set {PREFIX}{name.upper()} in the environment or in .env"
            )


def _settings() -> Settings:
    """`errors.CannotStart` with a line for each setting that is wrong."""
    logging.getLogger("dotenv").setLevel("ERROR")  # it warns at each reading, and names no file
    try:
        return Settings()
    except ValidationError as error:
        raise CannotStart("\n".join(map(_wrong, error.errors()))) from None
    except UnicodeDecodeError:
        raise CannotStart("The file .env is not UTF-8; save it as UTF-8.") from None
    except OSError as error:
        raise CannotStart(f"The file .env cannot be read ({error.strerror}).") from None


def _wrong(problem: ErrorDetails) -> str:
    """A setting's variable, its value where that is no secret, and what is wanted."""
    reason = problem["msg"].removeprefix("Value error, ").partition(", unable to")[0]
    if not problem["loc"]:  # about several settings together
        return reason
    name = str(problem["loc"][0])
    field = Settings.model_fields[name]
    is_secret = "Secret" in str(field.annotation) or not field.repr
    shown = "" if is_secret else f"{str(problem['input'])[:60]!r} "
    within = "".join(f"{part}: " for part in problem["loc"][1:] if isinstance(part, str))
    return f"LLM_FASTAPI_{name.upper()}: {within}{shown}{reason.replace('Input should', 'should')}"


def _warn_of_unreadable_lines() -> None:
    for number in unreadable_lines():
        logging.getLogger("api").warning(
            "line %d of .env is left out: it is no NAME=VALUE, or a quote is open.", number
        )


def _warn_of_unknown_variables() -> None:
    known = [name.upper() for name in Settings.model_fields]
    for name in unknown_variables():
        near = difflib.get_close_matches(name.removeprefix(PREFIX), known, 1, cutoff=0.75)
        advice = f"did you mean {PREFIX}{near[0]}?" if near else "docs/settings.md lists them all."
        logging.getLogger("api").warning("%s is no setting: %s", name, advice)


def _serve(settings: Settings) -> int:
    require_safe_listening(settings)
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises them again when it has ended
        signal.signal(number, lambda *_: sys.exit(0))
    logging.basicConfig(
        level=settings.log_level.upper(), handlers=[log_handler(settings.log_format)]
    )
    for chatty in ("httpx", "httpx2", "alembic"):
        logging.getLogger(chatty).setLevel("WARNING")
    for complaining in ("uvicorn.error", "python_multipart"):  # of clients, who are told
        logging.getLogger(complaining).setLevel("ERROR")
    _warn_of_unreadable_lines()
    _warn_of_unknown_variables()
    listener = _listen(settings.host, settings.port)
    host, port = listener.getsockname()[:2]

    def load() -> FastAPI:
        gc.disable()  # what is imported stays: looking through it again and again is a fifth of the time
        from api.app import create_app

        app = create_app(settings)
        gc.freeze()  # nor does a later collection, which all answers wait for, look through it
        gc.set_threshold(*COLLECTED)
        gc.enable()
        logging.getLogger("api").info("serving on http://%s:%s (try /docs)", host, port)
        return app

    def give_up() -> None:
        server.should_exit = True

    starting = Starting(load, give_up)
    server = uvicorn.Server(server_config(starting, settings.shutdown_seconds))
    server.run(sockets=[listener])
    if starting.failure:
        raise starting.failure
    return 0 if server.started else 1


KEEP_ALIVE_SECONDS = 75
"""Longer than a `Retry-After` of ours, or a proxy's patience: who comes again then, over a connection that was kept,
must not meet its end.
"""


def server_config(app: ASGIApp, shutdown_seconds: int) -> uvicorn.Config:
    """How the app is served: one process, HTTP/1.1 within bounds, no log of what clients ask."""
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,  # paths carry prompts in their query
        proxy_headers=False,  # read by the app, from whom the settings trust
        server_header=False,
        timeout_graceful_shutdown=shutdown_seconds,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
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


def _doctor(settings: Settings, options: argparse.Namespace) -> int:
    from api.doctor import examine, lost_things, purge

    logging.basicConfig(level="WARNING")
    logging.getLogger("api.documents.adopting").setLevel("INFO")  # it can take long
    if options.purge:
        gone = purge(settings)
        print("\n".join(f"deleted: {path}" for path in gone) or "Nothing lies in lost/.")
        return 0
    findings, notes = asyncio.run(examine(settings, repair=not options.check, adopt=options.adopt))
    for text, repaired in findings:
        print(f"{'repaired' if repaired else 'found'}: {text}")
    if not findings:
        print("All is well.")
    if lost := lost_things(settings):
        notes.append(f"{len(lost)} things lie in lost/; `llm-fastapi doctor --purge` deletes them.")
    for note in notes:
        print(f"note: {note}")
    return 0 if all(repaired for _, repaired in findings) else 1


def _back_up(settings: Settings, folder: Path) -> int:
    from api.backup import back_up, said

    for line in said(back_up(settings, folder.expanduser())):
        print(line)
    return 0


def _clean(settings: Settings, options: argparse.Namespace) -> int:
    """Status 2: it was not agreed to, and nothing is deleted."""
    from api.cleaning import Item, clean

    logging.basicConfig(level="WARNING")

    def agreed(items: "Sequence[Item]") -> bool:
        print(f"{options.what}: {len(items)}, {_size(sum(item.size_bytes for item in items))}")
        for item in items[:SHOWN]:
            print(f"  {item.name}  {_size(item.size_bytes)}")
        if len(items) > SHOWN:
            print(f"  and {len(items) - SHOWN} more")
        return not options.check and (options.yes or _is_confirmed())

    outcome = asyncio.run(clean(settings, options.what, agreed, bases=options.all))
    if outcome == "not agreed":
        return 0 if options.check else 2
    print("Deleted." if outcome == "deleted" else f"{options.what}: there are none.")
    return 0


def _is_confirmed() -> bool:
    if not sys.stdin.isatty():
        print("Nothing is deleted: nobody is there to ask. Say --yes to delete.", file=sys.stderr)
        return False
    signal.signal(signal.SIGINT, signal.default_int_handler)  # asyncio's waits for the answer
    try:
        answer = input("Delete? [y/N] ")
    except (EOFError, KeyboardInterrupt):
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        print("Nothing is deleted.")
        return False
    return True


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.1f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:,.0f} kB"


if __name__ == "__main__":
    sys.exit(main())
