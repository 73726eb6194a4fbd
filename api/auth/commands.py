"""`llm-fastapi keys create|list|revoke|rotate`: over the database, also while the service runs."""

import argparse
from typing import TYPE_CHECKING, Any

from api.auth.callers import SCOPES
from api.settings import Settings

if TYPE_CHECKING:
    from api.auth.keys import KeyCatalog
    from api.store.keys import Key

ONCE = "This is shown once; keep it where secrets are kept."
LAST = "That was the last key: without LLM_FASTAPI_API_KEY the service is open again to whoever reaches it."


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Do what was asked and print what came of it; the running service knows within a second."""
    from api.auth.keys import KeyCatalog
    from api.store import open_store

    store = open_store(settings.database_path)
    try:
        catalog = KeyCatalog(store.keys)
        {"create": _create, "list": _list, "revoke": _revoke, "rotate": _rotate}[options.what](
            catalog, options
        )
    finally:
        store.close()


def _create(catalog: "KeyCatalog", options: argparse.Namespace) -> None:
    from api.auth.keys import Wanted

    given: dict[str, Any] = {
        name: getattr(options, name) for name in Wanted.__slots__ if hasattr(options, name)
    }
    key, text = catalog.create(Wanted(**given))
    print(f"{key.id}  {key.alias}  {', '.join(key.scopes)}  workspace {key.workspace}")
    print(f"{text}\n{ONCE}")


def _list(catalog: "KeyCatalog", _: argparse.Namespace) -> None:
    keys = catalog.all()
    for key in keys:
        print("  ".join(_columns(key)))
    if not keys:
        print("There are no keys.")


def _revoke(catalog: "KeyCatalog", options: argparse.Namespace) -> None:
    key = catalog.revoke(options.id)
    print(f"Revoked: {key.id}  {key.alias}")
    if not catalog.all():
        print(LAST)


def _rotate(catalog: "KeyCatalog", options: argparse.Namespace) -> None:
    key, text = catalog.rotate(options.id, options.grace)
    until = f"The former text opens until {key.former_until}." if key.former_until else ""
    print(f"{text}\n{ONCE} {until}".rstrip())


def _columns(key: "Key") -> list[str]:
    limits = {
        "requests/min": key.requests_per_minute,
        "tokens/min": key.tokens_per_minute,
        "at once": key.parallel_requests,
    }
    return [
        key.id,
        f"{key.prefix}...{key.last_four}",
        key.alias,
        f"workspace {key.workspace}",
        ",".join(key.scopes),
        *([f"models {','.join(key.models)}"] if key.models else []),
        *(f"{limit} {what}" for what, limit in limits.items() if limit),
        *(["blocked"] if key.blocked else []),
        f"until {key.expires_at}" if key.expires_at else "without end",
        f"used {key.last_used_at}" if key.last_used_at else "never used",
    ]


def add_commands(parser: argparse.ArgumentParser) -> None:
    """The commands and what they take."""
    ways = parser.add_subparsers(dest="what", required=True)
    create = ways.add_parser("create", help="make a key and print it, once")
    create.add_argument("alias", help="whose it is; the log calls it so")
    create.add_argument("--workspace", default="default", help="whose things it sees")
    create.add_argument("--scopes", nargs="+", choices=SCOPES, default=["use"])
    create.add_argument("--models", nargs="+", metavar="MODEL", help="only these")
    create.add_argument("--expires", metavar="WHEN", help="30d, 12h or a time as ISO 8601")
    for name, text in (
        ("requests-per-minute", "0: no limit"),
        ("tokens-per-minute", "of prompts and answers"),
        ("parallel-requests", "at once"),
    ):
        create.add_argument(f"--{name}", type=int, metavar="N", help=text)
    ways.add_parser("list", help="list the keys, without their texts")
    ways.add_parser("revoke", help="delete a key").add_argument("id")
    rotate = ways.add_parser("rotate", help="give a key a new text under the same id")
    rotate.add_argument("id")
    rotate.add_argument(
        "--grace", type=int, default=0, metavar="SECONDS", help="so long the former text opens"
    )
