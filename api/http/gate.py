"""Who may call: the Host and Origin of a request, and its key. Asked before anything is parsed."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from api.auth.limits import RATE_LIMIT_HEADERS
from api.errors import CannotStart
from api.http.key_check import READING, KeyCheck
from api.http.observe import REQUEST_ID
from api.http.refusals import refusal_response
from api.settings import Settings

if TYPE_CHECKING:
    from api.auth.opening import Auth

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
CONTAINER_NAME = "fastapi"
"""By which other containers of the suite reach it, when its port is published on loopback alone. No page in a browser
can take a name without a dot for its own.
"""
ALIVE_PATH = "/healthz"
"""Answered whoever asks: a load balancer calls by address, and has no key."""
OPEN_PATHS = frozenset({"/docs", "/openapi.json"})
OPEN_FOLDER = "/swagger/"
"""Where no key is needed: a browser has none until the Swagger page, its parts and the description are there."""
OWN_SITES = frozenset({"none", "same-origin"})

FOREIGN_HOST = (
    "This service does not answer under that Host name. If callers reach it under that name, through a "
    "proxy for example, add it to LLM_FASTAPI_ALLOWED_HOSTS."
)
FOREIGN_ORIGIN = (
    "A page of another origin may not call this service. If a proxy serves the service there, add the "
    "page's host name to LLM_FASTAPI_ALLOWED_HOSTS; if it is another site's page, add its origin to "
    "LLM_FASTAPI_ALLOWED_ORIGINS."
)


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


def refusals(settings: Settings, *, needs_key: bool) -> set[int]:
    """The statuses that whoever calls may get from the gate, but from `ALIVE_PATH`."""
    with_key = {401, 429} if needs_key else set()
    return {403} | with_key | ({421} if _checks_hosts(settings) else set())


def _checks_hosts(settings: Settings) -> bool:
    return settings.is_loopback or bool(settings.allowed_hosts)


class Gate:
    """ASGI middleware: 401 without the key, 421 for a foreign Host, 403 for a foreign Origin.

    Also 400 for a body of two lengths, which a proxy may read as two requests.

    Host and Origin are checked while only loopback may call, or when host names are listed: a page in
    a browser on this machine must not reach the service under a name of its own (DNS rebinding) nor
    send forms to it. An origin whose host is listed is the service's own page behind a proxy.
    """

    def __init__(self, app: ASGIApp, settings: Settings, auth: "Auth | None" = None) -> None:
        self._app = app
        self._key_check = KeyCheck(app, settings, auth)
        self._hosts: frozenset[str] | None = None
        if _checks_hosts(settings):
            names = {settings.host.lower(), *settings.allowed_hosts}
            if settings.bind:
                names.add(CONTAINER_NAME)
            self._hosts = LOOPBACK_NAMES | names
        self._page_hosts = frozenset(settings.allowed_hosts)
        self._origins = frozenset(settings.allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif refusal := self._refusal(scope):
            status, title, detail = refusal
            headers = {"Connection": "close"} if status == 400 else None
            problem = {"type": "about:blank", "title": title, "status": status, "detail": detail}
            await refusal_response(scope["path"], problem, headers)(scope, receive, send)
        elif _is_open(scope["path"]):
            await self._app(scope, receive, send)
        else:
            await self._key_check(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str, str] | None:
        headers = Headers(scope=scope)
        if "content-length" in headers and "transfer-encoding" in headers:
            return 400, "Malformed request", "The body has both a length and chunks."
        if scope["path"] == ALIVE_PATH:
            return None
        return self._stranger(headers, scope["method"])

    def _stranger(self, headers: Headers, method: str) -> tuple[int, str, str] | None:
        if self._hosts is not None and _host_name(headers.get("host", "")) not in self._hosts:
            return 421, "Foreign host", FOREIGN_HOST
        if not self._may_call_from_page(headers, method):
            return 403, "Foreign origin", FOREIGN_ORIGIN
        return None

    def _may_call_from_page(self, headers: Headers, method: str) -> bool:
        origin = headers.get("origin")
        if origin is None:  # a link from elsewhere may be followed
            return method in READING or headers.get("sec-fetch-site", "none") in OWN_SITES
        origin = origin.lower()
        place = origin.partition("://")[2]
        is_own = place == headers.get("host", "").lower() or _host_name(place) in self._page_hosts
        return is_own or origin in self._origins


def _host_name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _is_open(path: str) -> bool:
    return path == ALIVE_PATH or path.rstrip("/") in OPEN_PATHS or path.startswith(OPEN_FOLDER)


class AllowedOrigins(CORSMiddleware):
    """ASGI middleware: CORS for the listed origins; whoever else comes is the gate's to refuse."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        super().__init__(
            app,
            allow_origins=settings.allowed_origins,
            allow_methods=("GET", "POST", "DELETE", "PATCH"),
            allow_headers=("*",),
            allow_private_network=True,
            expose_headers=(REQUEST_ID, "Location", "Retry-After", *RATE_LIMIT_HEADERS),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight, or let the page read the answer."""
        is_listed = scope["type"] == "http" and self.is_allowed_origin(
            Headers(scope=scope).get("origin", "")
        )
        await (super().__call__ if is_listed else self.app)(scope, receive, send)
