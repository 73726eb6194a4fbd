"""Who may call: the bearer key, the Host and Origin of a request. Asked before anything is parsed."""

import hashlib
import hmac
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import CannotStart
from api.http.problems import problem_response
from api.settings import Settings

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
OPEN_PATHS = frozenset({"/healthz"})
READING = frozenset({"GET", "HEAD", "OPTIONS"})


def require_safe_listening(settings: Settings) -> None:
    """Refuse to be reachable by others without a key, unless that was said explicitly."""
    if settings.is_loopback or settings.api_key or (settings.allow_open and not settings.bind):
        return
    if settings.bind:
        raise CannotStart(
            f"Publishing on {settings.bind} lets others in: set LLM_FASTAPI_API_KEY, "
            "or publish on 127.0.0.1."
        )
    raise CannotStart(
        f"Listening on {settings.host} lets others in: set LLM_FASTAPI_API_KEY "
        "(or LLM_FASTAPI_ALLOW_OPEN=true to allow everyone)."
    )


class Gate:
    """ASGI middleware: 401 without the key, 421 for a foreign Host, 403 for a foreign Origin.

    Also 400 for a body of two lengths, which a proxy may read as two requests.

    Host and Origin are checked while only loopback may call, or when host names are listed: a page in
    a browser on this machine must not reach the service under a name of its own (DNS rebinding) nor
    send forms to it.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        key = settings.api_key.get_secret_value() if settings.api_key else None
        self._key_hash = hashlib.sha256(key.encode()).digest() if key else None
        self._hosts: frozenset[str] | None = None
        if settings.is_loopback or settings.allowed_hosts:
            self._hosts = LOOPBACK_NAMES | {settings.host} | set(settings.allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through or answer it."""
        if scope["type"] != "http" or (refusal := self._refusal(scope)) is None:
            await self._app(scope, receive, send)
            return
        status, title, detail = refusal
        headers = {401: {"WWW-Authenticate": "Bearer"}, 400: {"Connection": "close"}}.get(status)
        problem = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        await problem_response(problem, headers)(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str, str] | None:
        headers = Headers(scope=scope)
        if "content-length" in headers and "transfer-encoding" in headers:
            return 400, "Malformed request", "The body has both a length and chunks."
        if self._hosts is not None and _host_name(headers.get("host", "")) not in self._hosts:
            return 421, "Foreign host", "This service does not answer under that Host name."
        if not self._same_origin(headers, scope["method"]):
            return 403, "Foreign origin", "A page of another origin may not call this service."
        if self._key_hash is None or scope["path"] in OPEN_PATHS:
            return None
        return self._key_refusal(headers.getlist("authorization"))

    def _same_origin(self, headers: Headers, method: str) -> bool:
        is_of_here = headers.get("sec-fetch-site", "none") in {"none", "same-origin"}
        if not is_of_here and method not in READING:  # a link from elsewhere may be followed
            return False
        origin = headers.get("origin")
        if origin is None:
            return True
        return origin.lower().partition("://")[2] == headers.get("host", "").lower()

    def _key_refusal(self, values: Iterable[str]) -> tuple[int, str, str] | None:
        for value in values:
            scheme, _, key = value.partition(" ")
            digest = hashlib.sha256(key.strip().encode()).digest()
            if scheme.lower() == "bearer" and hmac.compare_digest(digest, self._key_hash or b""):
                return None
        return 401, "Key needed", "Send the header `Authorization: Bearer KEY`."


def _host_name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""
