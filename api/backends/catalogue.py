"""What can be done with back ends: make, list, look at, change and delete them; and who runs which model."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from anyio.to_thread import run_sync

from api.backends import BackEnd, Named, Shown
from api.backends.kept import Kept
from api.backends.providers import PROVIDERS
from api.backends.secrets import Keys, check_key, check_variable
from api.errors import ApiError, Conflict, InvalidOption, ModelInUse, NameTaken, NotFound
from api.names import model_key, valid_model_name
from api.runtime import ModelRuntime
from api.runtime.fair import Line, Turns
from api.runtime.openai_style.addresses import check_url, resolved
from api.runtime.openai_style.client import OpenAIClient
from api.runtime.openai_style.dialect import Dialect
from api.runtime.openai_style.directory import Directory, RemoteModel
from api.runtime.openai_style.learning import UNKNOWN_CONTEXT
from api.runtime.openai_style.runtime import OpenAIStyleRuntime
from api.runtime.threads import in_thread_for_good

MOST = 64
"""Back ends that there may be."""
_OURS = frozenset(
    {"model", "messages", "prompt", "stream", "stream_options", "tools", "response_format"}
)
"""Parameters that no dialect sets or names otherwise."""
_HEADERS = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection"})
"""Of a request itself."""
ABILITIES = frozenset({"chat", "json_schema", "tools", "images", "embed"})


class BackEndNotFound(NotFound):
    """No back end of that name."""

    title = "Back end not found"


@dataclass(frozen=True, slots=True)
class Change:
    """What a back end is to be; None leaves as it is, or as the provider has it."""

    provider: str | None = None
    base_url: str | None = None
    models: Mapping[str, Named] | None = None
    key: str | None = None
    key_env: str | None = None
    overrides: Mapping[str, object] | None = None
    bounds: Mapping[str, float] | None = None
    limits: Mapping[str, int] | None = None


class BackEnds:
    """`routed.BackEnds` as they are kept. One process owns them, and one change is made after the other."""

    def __init__(self, kept: Kept, keys: Keys) -> None:
        self._kept = kept
        self._keys = keys
        self.directory = Directory(kept.models(), kept)
        self._back_ends = {one.name: one for one in kept.back_ends()}
        self._runtimes = {one.name: self._opened(one) for one in self._back_ends.values()}
        self._changing = asyncio.Lock()

    def behind(self, name: str) -> ModelRuntime | None:
        """What runs the model of that name."""
        found = self.directory.find(name)
        return self._runtimes.get(found.back_end) if found else None

    def all(self) -> Collection[ModelRuntime]:
        """The runtime over each."""
        return list(self._runtimes.values())

    def line_of(self, name: str) -> Line | None:
        """All models of a back end share its places; None for a model that is on none."""
        found = self.directory.find(name)
        back_end = self._back_ends.get(found.back_end) if found else None
        return _line(back_end) if back_end else None

    def provider_of(self, name: str) -> str:
        """Who runs the model of that name; empty for the home runtime."""
        found = self.directory.find(name)
        back_end = self._back_ends.get(found.back_end) if found else None
        return back_end.provider if back_end else ""

    async def close(self) -> None:
        """Close the connections of all."""
        for runtime in self._runtimes.values():
            await runtime.close()

    def names(self) -> list[str]:
        """Of all, by the alphabet."""
        return sorted(self._back_ends)

    def show(self, name: str, turns: Turns) -> Shown:
        """One back end; `BackEndNotFound`."""
        back_end = self._get(name)
        running, waiting = turns.figures().get(_line(back_end).name, (0, 0))
        return Shown(
            back_end,
            _dialect(back_end),
            sorted(self._on(name), key=lambda one: one.name.lower()),
            self._keys.where(name, back_end.key_env),
            self._runtimes[name].fault,
            running,
            waiting,
        )

    async def create(self, name: str, wanted: Change, runtime: ModelRuntime) -> str:
        """Make one; what its server says of its models is kept. A server that does not answer is no reason against it:
        then what is wrong is given back.
        """
        async with self._changing:
            if name in self._back_ends:
                raise NameTaken(f"A back end named {name!r} exists. Change it, or delete it first.")
            if len(self._back_ends) >= MOST:
                raise Conflict(f"There are {MOST} back ends, and may be no more.")
            provider = wanted.provider or "generic"
            back_end = BackEnd(name, provider, "", created_at=datetime.now(UTC).isoformat())
            return await self._become(back_end, wanted, runtime)

    async def change(self, name: str, wanted: Change, runtime: ModelRuntime) -> str:
        """Change what `wanted` names. Answers that are under way end as they began."""
        async with self._changing:
            return await self._become(self._get(name), wanted, runtime)

    async def delete(self, name: str) -> None:
        """Delete one with its models; `errors.ModelInUse` names the personas that stand on it."""
        async with self._changing:
            self._get(name)
            if personas := sorted(one.name for one in self._on(name) if one.base):
                raise ModelInUse(
                    f"{', '.join(personas[:5])} stand on the back end {name!r}. Delete them first."
                )
            await in_thread_for_good(partial(self._kept.remove_back_end, name))
            self.directory.forget(one.name for one in self._on(name))
            del self._back_ends[name]
            await run_sync(self._keys.remove, name)
            await self._runtimes.pop(name).retire()

    async def _become(self, old: BackEnd, wanted: Change, runtime: ModelRuntime) -> str:
        back_end = await self._wanted(old, wanted)
        declared = {one.name: one for one in self._on(old.name) if not one.base}
        models = list(declared.values())
        gone: list[str] = []
        if wanted.models is not None:
            models = [_named(back_end, *one) for one in wanted.models.items()]
            gone = [one for one in declared if model_key(one) not in map(model_key, wanted.models)]
            await self._require_free(runtime, [one.name for one in models], set(declared))
        if not models:
            raise InvalidOption(
                'models: name at least one, as {"our-name": "its-name"}.', where="models"
            )
        before = self._keys.of(old.name, "")
        if wanted.key is not None:
            await run_sync(self._keys.write, back_end.name, wanted.key)
        fresh = self._opened(back_end)
        try:
            fault, models = await _learned(fresh, models)
            await in_thread_for_good(partial(self._kept.put_back_end, back_end, models, gone))
        except BaseException:
            await fresh.close()
            if wanted.key is not None:
                put_back = partial(self._keys.write, back_end.name, before) if before else None
                await run_sync(put_back or partial(self._keys.remove, back_end.name))
            raise
        if back_end.key_env and before:
            await run_sync(self._keys.remove, back_end.name)
        former = self._runtimes.get(back_end.name)
        self.directory.forget(gone)
        self.directory.know(models)
        self._back_ends[back_end.name], self._runtimes[back_end.name] = back_end, fresh
        if former is not None:
            await former.retire()
        return fault

    async def _wanted(self, old: BackEnd, wanted: Change) -> BackEnd:
        """The back end as it is to be; `errors.InvalidOption` for what it cannot be."""
        provider = PROVIDERS.get(wanted.provider or old.provider)
        if provider is None:
            raise InvalidOption(
                f"provider: none is called {wanted.provider!r}. These are: {', '.join(PROVIDERS)}.",
                where="provider",
            )
        moved = wanted.provider is not None and wanted.provider != old.provider
        url = wanted.base_url or (provider.base_url if moved or not old.base_url else old.base_url)
        if not url:
            raise InvalidOption(
                f"base_url: say where it is; {provider.name!r} is at no one place.",
                where="base_url",
            )
        url = check_url(url)
        parts = urlsplit(url)
        is_encrypted = parts.scheme == "https"
        port = parts.port or (443 if is_encrypted else 80)
        if url != old.base_url:
            await resolved(str(parts.hostname), port, encrypted=is_encrypted)
        if wanted.key is not None and wanted.key_env is not None:
            raise InvalidOption("key: give the key or key_env, not both.", where="key")
        if wanted.key is not None:
            check_key(wanted.key)
        if wanted.key_env is not None:
            check_variable(wanted.key_env)
        has_key = self._keys.where(old.name, old.key_env) != "none"
        says_key = wanted.key is not None or wanted.key_env is not None
        if old.base_url and _origin(url) != _origin(old.base_url) and has_key and not says_key:
            raise InvalidOption(
                "key: its key was given for another address, and is not sent to this one. Give it again.",
                where="key",
            )
        variable = old.key_env if wanted.key is None else ""
        bounds: dict[str, Any] = dict(wanted.bounds or {})
        limits: dict[str, Any] = dict(wanted.limits or {})
        made = replace(
            old,
            provider=provider.name,
            base_url=url,
            key_env=variable if wanted.key_env is None else wanted.key_env,
            overrides=old.overrides if wanted.overrides is None else dict(wanted.overrides),
            bounds=replace(old.bounds, **bounds),
            **limits,
        )
        _dialect(made)
        return made

    async def _require_free(
        self, runtime: ModelRuntime, names: Iterable[str], own: set[str]
    ) -> None:
        """`errors.NameTaken` where another model has one of them already."""
        mine = {model_key(name) for name in own}
        taken = {model_key(info.name): info.name for info in await runtime.models()}
        for name in names:
            if model_key(name) in taken and model_key(name) not in mine:
                raise NameTaken(
                    f"A model named {taken[model_key(name)]!r} exists. Choose another name."
                )

    def _opened(self, back_end: BackEnd) -> OpenAIStyleRuntime:
        dialect = _dialect(back_end)
        client = OpenAIClient(
            back_end.name,
            back_end.base_url,
            partial(self._keys.of, back_end.name, back_end.key_env),
            key_header=dialect.key_header,
            bounds=back_end.bounds,
        )
        return OpenAIStyleRuntime(client, dialect, self.directory)

    def _get(self, name: str) -> BackEnd:
        if name not in self._back_ends:
            known = ", ".join(self.names()) or "none yet"
            raise BackEndNotFound(f"No back end named {name[:60]!r}. Back ends: {known}.")
        return self._back_ends[name]

    def _on(self, name: str) -> list[RemoteModel]:
        return [one for one in self.directory.all() if one.back_end == name]


async def _learned(
    runtime: OpenAIStyleRuntime, models: Collection[RemoteModel]
) -> tuple[str, list[RemoteModel]]:
    """The models with what their server says of them, and what was the matter where it did not."""
    fault, known = "", []
    for model in models:
        if not fault:
            try:
                model = await runtime.learn(model)
            except ApiError as error:
                fault = error.detail
        known.append(replace(model, context_length=model.context_length or UNKNOWN_CONTEXT))
    return fault, known


def _named(back_end: BackEnd, name: str, named: Named) -> RemoteModel:
    dialect = _dialect(back_end)
    usual = {"chat", "json_schema"} | ({"tools"} if dialect.tools == "native" else set())
    abilities = frozenset(usual) if named.capabilities is None else named.capabilities
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


def _dialect(back_end: BackEnd) -> Dialect:
    """The provider's dialect with what is otherwise here."""
    known: dict[str, Any] = {**back_end.overrides}
    if str(known.get("key_header", "")).lower() in _HEADERS:
        raise InvalidOption("dialect: a key cannot stand in that header.", where="dialect")
    if ours := sorted(_OURS & {*known.get("add", ()), *known.get("rename", ())}):
        raise InvalidOption(f"dialect: {ours[0]!r} is what a request says.", where="dialect")
    for field in ("drop", "takes"):
        if field in known:
            known[field] = (tuple if field == "drop" else frozenset)(known[field])
    if "clamp" in known:
        known["clamp"] = {name: tuple(bounds) for name, bounds in known["clamp"].items()}
    return replace(PROVIDERS[back_end.provider].dialect, **known)


def _line(back_end: BackEnd) -> Line:
    return Line(f"back end {back_end.name}", back_end.max_concurrency, back_end.max_queued)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()
