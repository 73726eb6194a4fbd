"""Who calls: what a key, or the lack of any, stands for."""

import hashlib
from dataclasses import dataclass
from typing import Literal

from api.names import WORKSPACE, model_key

Scope = Literal["admin", "use", "train", "metrics"]
"""What a key may do: `use` asks and imports, `train` fine-tunes, `metrics` reads figures, `admin` does everything."""
SCOPES: tuple[Scope, ...] = ("admin", "use", "train", "metrics")

CALLER = "caller"
"""Name of the caller in a request's state."""


def hash_of(text: str) -> str:
    """What is known of a key. Its 256 random bits cannot be tried out, so that the hash need not be slow."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request; the gate puts it on `request.state.caller`, and routes take it as `CallerDep`."""

    key_id: str
    """Id of the key; of a caller without one and of LLM_FASTAPI_API_KEY, what says so."""
    alias: str
    """What the log calls the key; empty without one."""
    workspace: str
    scopes: frozenset[Scope]
    models: frozenset[str] | None = None
    """Keys (`names.model_key`) of the models that may be used; None: all of them."""

    def may(self, scope: Scope) -> bool:
        """Whether the key has the scope; an admin has each."""
        return scope in self.scopes or "admin" in self.scopes

    def may_use(self, model: str) -> bool:
        """Whether a model of that name may be used, if there is one."""
        return self.models is None or model_key(model) in self.models


ANYONE = Caller("open", "", WORKSPACE, frozenset({"admin"}))
"""Whoever calls where no key is needed."""
FIRST_ADMIN = Caller("first", "LLM_FASTAPI_API_KEY", WORKSPACE, frozenset({"admin"}))
"""Who has the key of the settings."""
