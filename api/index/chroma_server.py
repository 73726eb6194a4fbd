"""Opens a ChromaDB server: the same `ChromaVectors`, over connections that wait out a restart and never hang.

They say what is wrong with what answers.
"""

import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx  # what chromadb speaks HTTP with
from chromadb.api.client import Client
from chromadb.auth import UserIdentity
from chromadb.config import Settings

from api.errors import BackEndFailed, Unavailable
from api.index.chroma import ChromaVectors, client_settings

ANSWER_SECONDS = 6.0
"""Less than open requests get when the service stops: no call can be given up on the way."""
CONNECT_SECONDS = 2.0
CHECK_SECONDS = 2.0
PATIENCE_SECONDS = 2.0
"""How long a call is tried again when nobody answers; every call of ours can be repeated."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 0.8
BUSY = (429, 502, 503, 504)


def open_server(
    url: str,
    headers: Mapping[str, str] | None = None,
    ca_file: Path | None = None,
    *,
    answer_seconds: float = ANSWER_SECONDS,
    patience_seconds: float = PATIENCE_SECONDS,
) -> ChromaVectors:
    """Vectors on a server, which need not be there yet: nothing is sent before the first call."""
    settings = client_settings()
    settings.chroma_api_impl = "chromadb.api.fastapi.FastAPI"
    settings.chroma_server_host = url  # whole, so the port beside it is only for form's sake
    settings.chroma_server_http_port = 0
    session = _Session(
        _address(url),
        patience_seconds,
        headers=headers,
        verify=_trusted(ca_file),
        timeout=httpx.Timeout(answer_seconds, connect=CONNECT_SECONDS),
        trust_env=False,  # a proxy is for the way out
    )
    return ChromaVectors(_Client(settings, session))


def _address(url: str) -> str:
    """The URL as it may be shown; `errors.BackEndFailed` when it is none."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL("")
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise BackEndFailed(
            "LLM_FASTAPI_CHROMA_URL is no address of a server; expected is one like http://chromadb:8000."
        )
    return str(parsed.copy_with(userinfo=b"")).rstrip("/")


def _trusted(ca_file: Path | None) -> ssl.SSLContext | bool:
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise BackEndFailed(
            f"LLM_FASTAPI_CHROMA_CA_FILE {ca_file} holds no certificates that can be read: {error}."
        ) from error


class _Client(Client):
    """Chroma's client, made without a call to the server, which would have no time limit."""

    def __init__(self, settings: Settings, session: httpx.Client) -> None:
        self._session = session
        super().__init__(settings=settings)

    def get_user_identity(self) -> UserIdentity:
        """The first thing that a new client asks the server for."""
        self._session.headers.update(self._server.get_request_headers())  # type: ignore[attr-defined]
        self._server._session = self._session  # type: ignore[attr-defined]
        return UserIdentity(user_id="")

    def _validate_tenant_database(self, tenant: str, database: str) -> None:
        """The second; both defaults are always there."""

    def heartbeat(self) -> int:
        """Whether a server is there that speaks as we do; all from 1.0 on call themselves 1.0.0."""
        version = str(self._ask("/version"))
        if version.startswith("0."):
            raise Unavailable(
                f"The ChromaDB server has version {version}; 1.0 or later is needed. Upgrade it: "
                "the vectors are made again from the database."
            )
        return int(self._ask("/heartbeat")["nanosecond heartbeat"])

    def _ask(self, path: str) -> Any:
        address = self._server.get_api_url()  # type: ignore[attr-defined]
        return self._session.get(f"{address}{path}", timeout=CHECK_SECONDS).json()

    def close(self) -> None:
        """Give the connections back too."""
        super().close()
        self._session.close()


class _Session(httpx.Client):
    """HTTP to one server; `errors.Unavailable` for whatever keeps it from answering as a ChromaDB server."""

    def __init__(self, address: str, patience_seconds: float, **options: Any) -> None:
        super().__init__(**options)
        self._address = address
        self._patience_seconds = patience_seconds

    def request(self, method: str, url: httpx.URL | str, **options: Any) -> httpx.Response:
        """Ask, and ask again for a while when nobody answers."""
        pause, give_up_at = FIRST_PAUSE_SECONDS, time.monotonic() + self._patience_seconds
        while True:
            try:
                response = super().request(method, url, **options)
            except httpx.TransportError as error:
                is_slow = isinstance(error, httpx.TimeoutException)
                if is_slow or time.monotonic() + pause > give_up_at:
                    raise self._away(error) from error
            else:
                self._require_chroma(response)
                return response
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _away(self, error: httpx.TransportError) -> Unavailable:
        what, remedy = str(error) or type(error).__name__, "LLM_FASTAPI_CHROMA_URL"
        if "SSL" in what or "certificate" in what:
            remedy = f"{remedy} (https or http) and LLM_FASTAPI_CHROMA_CA_FILE"
        return Unavailable(
            f"The ChromaDB server at {self._address} does not answer ({what}). See to it that it "
            f"runs, and check {remedy}."
        )

    def _require_chroma(self, response: httpx.Response) -> None:
        status = response.status_code
        if status in (401, 403):
            raise Unavailable(
                f"The ChromaDB server at {self._address} refuses us ({status}). Check "
                "LLM_FASTAPI_CHROMA_TOKEN and LLM_FASTAPI_CHROMA_TOKEN_HEADER."
            )
        if status in BUSY:
            raise Unavailable(
                f"The ChromaDB server at {self._address} cannot serve now ({status})."
            )
        if not _speaks_chroma(response):
            raise Unavailable(
                f"What answers at {self._address} is no ChromaDB server of version 1.0 or later "
                f"({status} for {response.url.path}). Check LLM_FASTAPI_CHROMA_URL, or upgrade it."
            )


def _speaks_chroma(response: httpx.Response) -> bool:
    """Its API answers in JSON, and names its errors."""
    if not response.headers.get("content-type", "").startswith("application/json"):
        return False
    return response.is_success or b'"error"' in response.content
