"""Who calls, by the key: in memory, before anything is parsed; and what a key may take before work starts."""

import hmac
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.auth.callers import ANYONE, CALLER, FIRST_ADMIN, Caller, hash_of
from api.auth.limits import Allowed, Place, estimated_tokens
from api.auth.refusals import KeyNeeded, RateLimited, WrongKey
from api.errors import ApiError, ClientGone, NotReady
from api.http.observe import model_of, seen
from api.http.problems import problem_of
from api.http.refusals import refusal_response
from api.settings import Settings

if TYPE_CHECKING:  # it loads the database, and the service listens before
    from api.auth.opening import Auth

READY_PATH = "/readyz"
READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""What only reads is neither limited nor counted: who follows a job takes nothing from who asks."""
UNLIMITED = Allowed()
INSIDE = "inside"
"""Name in the state of a request that this process sends itself: the id of the key that it is sent for. It runs behind
what comes over the wire, where nobody can set it.
"""


class KeyCheck:
    """ASGI middleware: 401 without a key that opens, 429 beyond its limits; the caller for who stands behind.

    As long as there is no key, in the settings or in the store, everybody is `ANYONE`.
    """

    def __init__(self, app: ASGIApp, settings: Settings, auth: "Auth | None") -> None:
        """Without `auth` there is no key but that of the settings."""
        self._app = app
        self._auth = auth
        key = settings.api_key.get_secret_value() if settings.api_key else None
        self._first = hash_of(key) if key else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through or answer it."""
        headers = Headers(scope=scope)
        try:
            state = scope.setdefault("state", {})
            key_id = state.get(INSIDE)
            opened = self._opened(headers, scope["path"]) if key_id is None else self._held(key_id)
            caller, allowed = opened
            state[CALLER] = caller
            seen().key = caller.alias or None
            place = self._enter(caller, allowed, scope, headers)
        except ApiError as error:
            problem, said = problem_of(error)
            if isinstance(error, RateLimited):
                said.update(error.headers)
            if problem["status"] == KeyNeeded.status:
                said["WWW-Authenticate"] = "Bearer"
            await refusal_response(scope["path"], problem, said)(scope, receive, send)
            return
        if place is None:
            await self._app(scope, receive, send)
            return
        try:
            if _is_text(headers) and "content-length" not in headers:
                receive = _measured(receive, place)
            await self._app(scope, receive, _with_headers(send, place.headers))
        finally:
            self._settle(caller, place, scope)

    def _opened(self, headers: Headers, path: str) -> tuple[Caller, Allowed]:
        """Who calls, and what they may take; an `refusals.KeyRefused` says why nobody is let in."""
        texts = list(_keys_in(headers))
        if self._first and any(hmac.compare_digest(hash_of(one), self._first) for one in texts):
            return FIRST_ADMIN, UNLIMITED
        keyring = self._auth.keyring if self._auth else None
        if path != READY_PATH:
            self._require_known()
        if self._is_open():
            return ANYONE, UNLIMITED
        if not texts:
            raise KeyNeeded("Send the header `Authorization: Bearer KEY`.")
        if keyring is None:
            raise WrongKey("The key in `Authorization` is not LLM_FASTAPI_API_KEY.")
        held = keyring.find(texts[0])
        return held.caller, held.allowed

    def _held(self, key_id: str) -> tuple[Caller, Allowed]:
        """The same of a key that let somebody in before: whether it still would."""
        self._require_known()
        if key_id == FIRST_ADMIN.key_id and self._first:
            return FIRST_ADMIN, UNLIMITED
        if key_id == ANYONE.key_id and self._is_open():
            return ANYONE, UNLIMITED
        if key_id == ANYONE.key_id:
            raise KeyNeeded("This was begun without a key, and one is needed since.")
        if self._auth is None:
            raise WrongKey("The key that this was begun with was revoked.")
        held = self._auth.keyring.find_by_id(key_id)
        return held.caller, held.allowed

    def _require_known(self) -> None:
        if self._auth is not None and not self._auth.keyring.is_known:
            raise NotReady("The keys cannot be read yet; `/readyz` says what is wrong.")

    def _is_open(self) -> bool:
        """Whether there is no key at all."""
        return not self._first and (self._auth is None or self._auth.keyring.is_empty)

    def _enter(
        self, caller: Caller, allowed: Allowed, scope: Scope, headers: Headers
    ) -> Place | None:
        if self._auth is None:
            return None
        is_inside = INSIDE in scope["state"]
        self._auth.let_in(caller, in_background=is_inside)
        if scope["method"] in READING:
            return None
        tokens = estimated_tokens(_size(scope, headers), _is_text(headers))
        enter, now = self._auth.limits.enter, time.monotonic()
        return enter(caller.key_id, allowed, tokens, now, in_background=is_inside)

    def _settle(self, caller: Caller, place: Place, scope: Scope) -> None:
        """Count what it took, rephrasings too. Of an answer that was cut short, or that its back end broke off, nobody
        knows: the estimate and what was written stand. One that was of no use, a call beyond its schema, took what the
        model took.
        """
        if self._auth is None:
            return  # there is no place either
        now, spent = seen(), self._auth.spent()
        prompt, completion = now.prompt_tokens or 0, now.completion_tokens or 0
        is_cut = not now.is_whole or now.status == ClientGone.status
        if now.problem or is_cut:
            prompt = max(prompt, spent.prompt_tokens - spent.beside_prompt)
            completion = max(completion, spent.completion_tokens - spent.beside_completion)
        if is_cut or spent.broken:
            prompt, completion = prompt or place.held, max(completion + spent.broken, now.pieces)
        prompt += spent.beside_prompt
        completion += spent.beside_completion
        took = prompt + completion
        place.leave(took)
        if took or now.status is None or now.status < 400:
            self._auth.usage.add(caller, model_of(now, scope) or "", prompt, completion)


def _keys_in(headers: Headers) -> list[str]:
    """As everybody sends it, and as Anthropic's clients do."""
    pairs = (value.partition(" ") for value in headers.getlist("authorization"))
    bearers = [key.strip() for scheme, _, key in pairs if scheme.lower() == "bearer"]
    return bearers + [key.strip() for key in headers.getlist("x-api-key")]


def _is_text(headers: Headers) -> bool:
    """Whether its body is a prompt, and not files."""
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type != "multipart/form-data"


def _size(scope: Scope, headers: Headers) -> int:
    length = headers.get("content-length", "")
    return len(scope["query_string"]) + (
        int(length) if length.isascii() and length.isdigit() else 0
    )


def _measured(receive: Receive, place: Place) -> Receive:
    """Holds tokens for a body that did not say how long it is, as it comes."""
    received = 0

    async def receiving() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        place.expect(estimated_tokens(received, is_text=True))
        return message

    return receiving


def _with_headers(send: Send, headers: Mapping[str, str]) -> Send:
    if not headers:
        return send

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message.setdefault("headers", [])
            MutableHeaders(scope=message).update(headers)
        await send(message)

    return sending
