"""Back ends: servers elsewhere on whose models ours are named. What one is, as a value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from api.backends.launch import Launch
from api.backends.server import Seen
from api.runtime.openai_style.client import Bounds
from api.runtime.openai_style.dialect import Dialect
from api.runtime.openai_style.directory import RemoteModel


@dataclass(frozen=True, slots=True)
class BackEnd:
    """One server: who it is, how it is spoken to, and how much is asked of it at once.

    Its key lies in a file, or `key_env` names the variable of the environment that holds it. `overrides` are fields of
    the provider's dialect that are otherwise here. One with a `launch` is started here, and has no address or key.
    """

    name: str
    provider: str
    base_url: str
    key_env: str = ""
    overrides: Mapping[str, object] = field(default_factory=dict)
    bounds: Bounds = field(default_factory=Bounds)
    max_concurrency: int = 8
    max_queued: int = 100
    launch: Launch | None = None
    created_at: str = ""


@dataclass(frozen=True, slots=True)
class Named:
    """A model of a back end by its own name, with what its server does not say of it."""

    remote: str
    context_length: int = 0
    capabilities: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A back end as it is told: where its key is and never what it is, and how it does."""

    back_end: BackEnd
    dialect: Dialect
    models: Sequence[RemoteModel]
    key: str
    fault: str
    running: int
    waiting: int
    server: Seen | None = None
