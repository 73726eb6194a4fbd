"""Configuration of a server, and who may call it."""

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from starlette.requests import Request

from tests.ollama_double.options import seconds


@dataclass(frozen=True)
class Config:
    """How a server is run. `library` is the folder that models are pulled from, None is a host without internet;
    the pause makes time for a test between the lines of a creation. One that `has_gpu` says that its models lie there.
    """

    models: Path
    library: Path | None = None
    max_queue: int = 512
    keep_seconds: float = 300
    context: int = 4096
    threads: int = 1
    create_pause_seconds: float = 0
    has_gpu: bool = False
    is_loopback: bool = True


def from_environment(models: Path, library: Path | None, *, is_loopback: bool) -> Config:
    """The configuration as Ollama reads it from its environment."""
    values = os.environ
    keep = values.get("OLLAMA_KEEP_ALIVE", "5m")
    return Config(
        models=models,
        library=library,
        max_queue=int(values.get("OLLAMA_MAX_QUEUE", "512")),
        keep_seconds=seconds(int(keep) if keep.lstrip("-").isdigit() else keep) or 0,
        context=int(values.get("OLLAMA_CONTEXT_LENGTH", "4096")),
        threads=int(values.get("OLLAMA_DOUBLE_THREADS", "1")),
        create_pause_seconds=float(values.get("OLLAMA_DOUBLE_CREATE_PAUSE_SECONDS", "0")),
        is_loopback=is_loopback,
    )


def is_allowed(request: Request, config: Config) -> bool:
    """Foreign origins are refused, and foreign host names by a server on loopback."""
    origin = request.headers.get("origin")
    if origin and not _is_local(urlsplit(origin).hostname or ""):
        return False
    host = urlsplit("//" + request.headers.get("host", "")).hostname or ""
    return not config.is_loopback or _is_local(host)


def _is_local(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host in ("", "localhost") or host.endswith((".localhost", ".local", ".internal"))
    return address.is_loopback or address.is_private or address.is_unspecified
