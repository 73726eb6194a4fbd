"""What a back end and its models are to be: a change, checked over what is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from api.backends import BackEnd, Named
from api.backends.launch import Launch
from api.backends.providers import PROVIDERS, Provider
from api.backends.secrets import check_key, check_variable
from api.errors import InvalidOption
from api.names import valid_model_name
from api.runtime.openai_style.addresses import check_url, resolved
from api.runtime.openai_style.dialect import Dialect
from api.runtime.openai_style.directory import RemoteModel
from api.runtime.openai_style.learning import UNKNOWN_CONTEXT

_OURS = frozenset(
    {"model", "messages", "prompt", "stream", "stream_options", "tools", "response_format"}
)
"""Parameters that no dialect sets or names otherwise."""
_HEADERS = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection"})
"""Of a request itself."""
ABILITIES = frozenset({"chat", "json_schema", "tools", "images", "embed"})


@dataclass(frozen=True, slots=True)
class Change:
    """What a back end is to be; None leaves as it is, or as the provider has it."""

    provider: str | None = None
    base_url: str | None = None
    models: Mapping[str, Named] | None = None
    key: str | None = field(default=None, repr=False)
    key_env: str | None = None
    overrides: Mapping[str, object] | None = None
    bounds: Mapping[str, float] | None = None
    limits: Mapping[str, int] | None = None
    launch: Launch | None = None


async def changed(old: BackEnd, wanted: Change, *, has_key: bool) -> BackEnd:
    """The back end as it is to be; `errors.InvalidOption` for what it cannot be, `errors.Unavailable` where its host is
    not found. Whether the old one `has_key` matters where it moves.
    """
    launch = wanted.launch or old.launch
    if launch is not None:
        _require_launchable(old, wanted)
    provider = _provider(launch.kind if launch else wanted.provider or old.provider)
    url = "" if launch else await _address(old, wanted, provider)
    _require_sound_key(wanted)
    if has_key and not _says_key(wanted) and _origin(url) != _origin(old.base_url):
        raise InvalidOption(
            "key: its key was given for another address, and is not sent to this one. Give it again.",
            where="key",
        )
    bounds: dict[str, Any] = dict(wanted.bounds or {})
    limits: dict[str, Any] = dict(wanted.limits or {})
    if launch is not None and old.launch is None and launch.kind != "vllm":
        limits.setdefault("max_concurrency", 1)  # it writes one answer after the other
    made = replace(
        old,
        provider=provider.name,
        base_url=url,
        key_env=(wanted.key_env or "") if _says_key(wanted) else old.key_env,
        overrides=old.overrides if wanted.overrides is None else dict(wanted.overrides),
        bounds=replace(old.bounds, **bounds),
        launch=launch,
        **limits,
    )
    dialect_of(made)
    return made


def _require_launchable(old: BackEnd, wanted: Change) -> None:
    """`errors.InvalidOption` where a server is to be started here and to be elsewhere."""
    for name in ("provider", "base_url", "key", "key_env"):
        if getattr(wanted, name) is not None:
            raise InvalidOption(
                f"{name}: this server is started here, at an address and with a key of its own. Leave it out.",
                where=name,
            )
    if old.base_url:
        raise InvalidOption(
            "launch: this back end is at a base_url. Delete it, or make another one.",
            where="launch",
        )


def named(back_end: BackEnd, name: str, named: Named) -> RemoteModel:
    """A model of a back end as it is said to be; `errors.InvalidOption` for what it cannot be."""
    dialect = dialect_of(back_end)
    abilities = _usual(back_end) if named.capabilities is None else named.capabilities
    if unknown := sorted(abilities - ABILITIES):
        raise InvalidOption(
            f"models: {name!r} cannot {unknown[0]!r}; these are known: {', '.join(sorted(ABILITIES))}.",
            where="models",
        )
    if not abilities or ("embed" in abilities and len(abilities) > 1):
        raise InvalidOption(f"models: {name!r} chats or embeds, one of both.", where="models")
    if "embed" in abilities and not dialect.embeddings:
        raise InvalidOption(
            f"models: {back_end.provider!r} makes no vectors, so {name!r} cannot.", where="models"
        )
    return RemoteModel(
        valid_model_name(name), back_end.name, named.remote, named.context_length, abilities
    )


def require_served(back_end: BackEnd, models: Iterable[RemoteModel]) -> None:
    """`errors.InvalidOption` for another model than the one that a server of ours has."""
    for one in models:
        if back_end.launch is not None and one.remote != back_end.launch.model:
            raise InvalidOption(
                f"models: this server has one model, {back_end.launch.model!r}.", where="models"
            )


def moved(model: RemoteModel, former: BackEnd, now: BackEnd) -> RemoteModel:
    """A model of a back end whose own server is another one now. It can what models of such a server can, unless it was
    said otherwise, and its context is asked for anew; a class may tell none, and what was said of it stands.
    """
    assert now.launch  # noqa: S101
    stands = now.launch.kind == "custom" and model.remote == now.launch.model
    usual = _usual(former)
    is_usual = model.persona.template is None and model.capabilities in (usual, usual - {"tools"})
    return replace(
        model,
        remote=now.launch.model,
        context_length=model.context_length if stands else UNKNOWN_CONTEXT,
        capabilities=_usual(now) if is_usual else model.capabilities,
    )


def dialect_of(back_end: BackEnd) -> Dialect:
    """The provider's dialect with what is otherwise here."""
    known: dict[str, Any] = {**back_end.overrides}
    if str(known.get("key_header", "")).lower() in _HEADERS:
        raise InvalidOption("dialect: a key cannot stand in that header.", where="dialect")
    if ours := sorted(_OURS & {*known.get("add", ()), *known.get("rename", ())}):
        raise InvalidOption(f"dialect: {ours[0]!r} is what a request says.", where="dialect")
    if "drop" in known:
        known["drop"] = tuple(known["drop"])
    if "takes" in known:
        known["takes"] = frozenset(known["takes"])
    if "clamp" in known:
        known["clamp"] = {name: tuple(bounds) for name, bounds in known["clamp"].items()}
    return replace(PROVIDERS[back_end.provider].dialect, **known)


def _usual(back_end: BackEnd) -> frozenset[str]:
    """What its models can, functions where they go over its wire; vLLM reads calls only by a parser that it is told."""
    launch = back_end.launch
    lacks_parser = launch is not None and "tool_call_parser" not in launch.arguments
    takes_tools = dialect_of(back_end).tools == "native" and not lacks_parser
    return frozenset({"chat", "json_schema"} | ({"tools"} if takes_tools else set()))


def _provider(name: str) -> Provider:
    if name not in PROVIDERS:
        raise InvalidOption(
            f"provider: none is called {name!r}. These are: {', '.join(PROVIDERS)}.",
            where="provider",
        )
    return PROVIDERS[name]


async def _address(old: BackEnd, wanted: Change, provider: Provider) -> str:
    """Where it is to be: as it is said, else where the provider is, if that is another one than before."""
    has_moved = not old.base_url or provider.name != old.provider
    url = wanted.base_url or (provider.base_url if has_moved else old.base_url)
    if not url:
        raise InvalidOption(
            f"base_url: say where it is; {provider.name!r} is at no one place.", where="base_url"
        )
    url = check_url(url)
    if url != old.base_url:
        parts = urlsplit(url)
        is_encrypted = parts.scheme == "https"
        port = parts.port or (443 if is_encrypted else 80)
        await resolved(str(parts.hostname), port, encrypted=is_encrypted)
    return url


def _require_sound_key(wanted: Change) -> None:
    if wanted.key is not None and wanted.key_env is not None:
        raise InvalidOption("key: give the key or key_env, not both.", where="key")
    if wanted.key is not None:
        check_key(wanted.key)
    if wanted.key_env is not None:
        check_variable(wanted.key_env)


def _says_key(wanted: Change) -> bool:
    return wanted.key is not None or wanted.key_env is not None


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()
