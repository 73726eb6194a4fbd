"""The `finetune` extra: torch and what trains and converts with it, installed or not."""

import importlib.util

from api.errors import NotReady

INSTALL = "pip install -c constraints.txt -e '.[finetune]'"


def require_finetune(what: str) -> None:
    """`errors.NotReady` with the command that brings the extra, unless it is installed."""
    if importlib.util.find_spec("torch") is None:
        raise NotReady(f"{what} needs the finetune extra: {INSTALL}", retry_after_seconds=60)
