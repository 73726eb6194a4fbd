"""Keys: made, changed, rotated and revoked; what the command and the routes share."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from api.auth.callers import FIRST_ADMIN, Caller, Scope, hash_of
from api.auth.refusals import AdminNeeded, KeyNotFound
from api.errors import InvalidOption
from api.names import FOR_ALL, MAX_NAME_CHARACTERS, WORKSPACE, valid_workspace
from api.store.keys import Key
from api.store.keys import Keys as StoredKeys

START = "sk-llm-"
RANDOM_BYTES = 32
SHOWN_AT_START = len(START) + 4
MOST_ALIAS_CHARACTERS = 100
MOST_GRACE_SECONDS = 30 * 86_400
MOST = 10**9
"""Of what a limit may be."""
UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1)}
"""Of a time to live, as `12h` or `30d`."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a key is to be; of a change, None leaves as it is."""

    alias: str | None = None
    workspace: str | None = None
    scopes: Sequence[Scope] | None = None
    models: Sequence[str] | None = None
    """`*`: all of them."""
    expires: str | None = None
    """`30d`, `12h`, a time as ISO 8601; `never`."""
    requests_per_minute: int | None = None
    """0: as many as it likes. So are the next two."""
    tokens_per_minute: int | None = None
    parallel_requests: int | None = None
    blocked: bool | None = None


class KeyCatalog:
    """The keys that one may manage. An admin of the first workspace sees all, any other those of its own workspace.

    Its methods ask the database and block.
    """

    def __init__(
        self, store: StoredKeys, workspace: str | None = None, *, keeps_admin: bool = False
    ) -> None:
        """`workspace`: that one's only; None: all. `keeps_admin`: from the first key on, one that may manage all of
        them is there, else `refusals.AdminNeeded`.
        """
        self._store = store
        self._workspace = workspace
        self._keeps_admin = keeps_admin

    def of(self, caller: Caller) -> "KeyCatalog":
        """What a caller may manage."""
        if caller.workspace == WORKSPACE:
            return self
        return KeyCatalog(self._store, caller.workspace, keeps_admin=self._keeps_admin)

    def all(self) -> list[Key]:
        """Every key, the oldest first."""
        return [key for key in self._store.all() if self._workspace in (None, key.workspace)]

    def get(self, id: str) -> Key:
        """One key; `refusals.KeyNotFound`."""
        for key in self.all():
            if key.id == id:
                return key
        raise KeyNotFound(f"There is no key {id[:60]!r}.")

    def create(self, wanted: Wanted) -> tuple[Key, str]:
        """A new key, and its text, which nobody can show again."""
        values = self._values(wanted)
        text = _new_text()
        defaults = {"workspace": self._workspace or WORKSPACE, "scopes": ["use"], "blocked": False}
        nothing = dict.fromkeys(one.name for one in fields(Key))
        drawn = {"id": f"key_{secrets.token_hex(8)}", "created_at": _now().isoformat()}
        key = Key(**{**nothing, **defaults, **_of_text(text), **drawn, **values})
        if self._keeps_admin and not _administers(key) and not self._store.all():
            raise AdminNeeded(
                "The first key must be able to manage the others, or nobody could: make it with the scope 'admin' in "
                f"the workspace {WORKSPACE!r}, or set LLM_FASTAPI_API_KEY."
            )
        self._store.put(key)
        return key, text

    def change(self, id: str, wanted: Wanted) -> Key:
        """Change what `wanted` names; the text of the key stays."""
        values = self._values(replace(wanted, workspace=None), may_lack_alias=True)
        key = self.get(id)
        if _administers(key) and not _administers(replace(key, **values)):
            self._require_another_admin(key)
        return self._changed(key, **values) if values else key

    def rotate(self, id: str, grace_seconds: int) -> tuple[Key, str]:
        """The same key with a new text; the one of before opens for so many seconds more."""
        if not 0 <= grace_seconds <= MOST_GRACE_SECONDS:
            raise InvalidOption.at(
                "grace_seconds", f"Between 0 and {MOST_GRACE_SECONDS}, which is 30 days."
            )
        key, text = self.get(id), _new_text()
        until = _as_text(_now() + timedelta(seconds=grace_seconds)) if grace_seconds else None
        former = {"former_hash": key.hash if until else None, "former_until": until}
        return self._changed(key, **_of_text(text), **former), text

    def revoke(self, id: str) -> Key:
        """Delete a key; what was used with it stays known."""
        key = self.get(id)
        if _administers(key):
            self._require_another_admin(key)
        self._store.remove(key.id)
        return key

    def _require_another_admin(self, key: Key) -> None:
        others = (one for one in self._store.all() if one.id != key.id)
        if self._keeps_admin and not any(map(_administers, others)):
            raise AdminNeeded(
                f"{key.alias!r} is the last key that may manage all keys. Make another one with the scope 'admin' in "
                f"the workspace {WORKSPACE!r} first, or set LLM_FASTAPI_API_KEY; `llm-fastapi keys` does it anyhow."
            )

    def _changed(self, key: Key, **values: Any) -> Key:
        changed = self._store.change(key.id, **values)
        if changed is None:
            raise KeyNotFound(f"There is no key {key.id!r} any more.")
        return changed

    def _values(self, wanted: Wanted, *, may_lack_alias: bool = False) -> dict[str, Any]:
        """The columns that were named, each as it is stored; what cannot be is refused by name."""
        values: dict[str, Any] = {}
        if wanted.alias is not None or not may_lack_alias:
            values["alias"] = _alias(wanted.alias or "")
        if wanted.workspace:
            values["workspace"] = self._own(valid_workspace(wanted.workspace))
        if wanted.scopes is not None:
            values["scopes"] = _scopes(wanted.scopes)
        if wanted.models is not None:
            values["models"] = _models(wanted.models)
        if wanted.expires is not None:
            values["expires_at"] = expiry(wanted.expires, _now())
        for name in ("requests_per_minute", "tokens_per_minute", "parallel_requests"):
            if (limit := getattr(wanted, name)) is not None:
                values[name] = _limit(name, limit)
        if wanted.blocked is not None:
            values["blocked"] = wanted.blocked
        return values

    def _own(self, workspace: str) -> str:
        if self._workspace not in (None, workspace):
            raise InvalidOption.at("workspace", f"A key of yours belongs to {self._workspace!r}.")
        return workspace


def _administers(key: Key) -> bool:
    """Whether it opens, and may manage the keys of all workspaces."""
    has_ended = key.expires_at is not None and datetime.fromisoformat(key.expires_at) <= _now()
    return (
        key.workspace == WORKSPACE and "admin" in key.scopes and not key.blocked and not has_ended
    )


def expiry(text: str, now: datetime) -> str | None:
    """When a key ends, as ISO 8601 in UTC; None for `never`. A time without a zone is one in UTC."""
    if text.strip().lower() == "never":
        return None
    if found := re.fullmatch(r"(\d{1,5})([hd])", text.strip().lower()):
        at = now + int(found[1]) * UNITS[found[2]]
    else:
        try:
            at = datetime.fromisoformat(text.strip())
            at = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            reason = "Say 30d, 12h, a time like 2027-01-31T12:00:00Z, or never."
            raise InvalidOption.at("expires", reason) from None
    if at <= now:
        raise InvalidOption.at("expires", "The time has passed already.")
    return _as_text(at)


def _alias(text: str) -> str:
    alias = text.strip()
    if not alias or len(alias) > MOST_ALIAS_CHARACTERS or not alias.isprintable():
        reason = (
            f"A name of 1 to {MOST_ALIAS_CHARACTERS} printable characters says whose key it is."
        )
        raise InvalidOption.at("alias", reason)
    if alias.upper() == FIRST_ADMIN.alias:
        raise InvalidOption.at(
            "alias", f"{FIRST_ADMIN.alias} is what the log calls the key of the settings."
        )
    return alias


def _scopes(given: Sequence[str]) -> list[str]:
    known = get_args(Scope)
    if not given or (wrong := set(given) - set(known)):
        what = f"{min(wrong)!r} is none. " if given else ""
        raise InvalidOption.at("scopes", f"{what}The scopes are {', '.join(known)}.")
    return [scope for scope in known if scope in given]


def _models(given: Sequence[str]) -> list[str] | None:
    if not given:
        raise InvalidOption.at("models", f"Name at least one, or {FOR_ALL!r} for all.")
    if FOR_ALL in given:
        return None
    if max(map(len, given)) > MAX_NAME_CHARACTERS:
        raise InvalidOption.at("models", f"A name has at most {MAX_NAME_CHARACTERS} characters.")
    return sorted(set(given))


def _limit(name: str, given: int) -> int | None:
    if not 0 <= given <= MOST:
        raise InvalidOption.at(name, f"Between 1 and {MOST}; 0 sets no limit.")
    return given or None


def _new_text() -> str:
    return START + secrets.token_urlsafe(RANDOM_BYTES)


def _of_text(text: str) -> dict[str, str]:
    return {"hash": hash_of(text), "prefix": text[:SHOWN_AT_START], "last_four": text[-4:]}


def _now() -> datetime:
    return datetime.now(UTC)


def _as_text(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
