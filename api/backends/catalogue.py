"""What can be done with back ends: make, list, look at, change and delete them; and who runs which model."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from anyio.to_thread import run_sync

from api.backends import BackEnd, Named, Shown
from api.backends.kept import Kept
from api.backends.launch import Launch, Places, check
from api.backends.launched import ADDRESS, LaunchedRuntime
from api.backends.secrets import Keys
from api.backends.server import Server
from api.backends.standing import SHOWN, require_still_taken
from api.backends.wanted import Change, changed, dialect_of, moved, named, require_served
from api.errors import (
    ApiError,
    Conflict,
    DeviceInUse,
    InvalidOption,
    ModelInUse,
    NameTaken,
    NotFound,
)
from api.names import model_key
from api.runtime import ModelRuntime
from api.runtime.fair import Line, Turns
from api.runtime.openai_style.client import OpenAIClient
from api.runtime.openai_style.dialect import Dialect
from api.runtime.openai_style.directory import Directory, RemoteModel
from api.runtime.openai_style.learning import UNKNOWN_CONTEXT, unsaid
from api.runtime.openai_style.runtime import OpenAIStyleRuntime
from api.runtime.openai_style.served import ServedTransport
from api.runtime.threads import in_thread, in_thread_for_good
from api.runtime.training import Reserved, Training
from api.settings.environment import secret

MOST = 64
"""Back ends that there may be."""


class BackEndNotFound(NotFound):
    """No back end of that name."""

    title = "Back end not found"


class BackEnds:
    """`routed.BackEnds` as they are kept. One process owns them, and one change is made after the other."""

    def __init__(self, kept: Kept, keys: Keys, places: Places, ca_file: Path | None = None) -> None:
        """`ca_file` holds CAs that are believed beside the public ones."""
        self._kept = kept
        self._ca_file = ca_file
        self._keys = keys
        self._places = places
        self._servers: dict[str, Server] = {}
        self._reserved = Reserved()
        self.directory = Directory(kept.models(), kept)
        self._back_ends = {one.name: one for one in kept.back_ends()}
        self._runtimes = {
            one.name: self._opened(one, keys.of(one.name)) for one in self._back_ends.values()
        }
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

    def reserve(self, trainings: Sequence[Training]) -> None:
        """No server is started where one of these trains, not even of a back end that is made meanwhile."""
        self._reserved.set(trainings)

    def start(self) -> None:
        """Start the servers that are to run here."""
        for server in self._servers.values():
            with suppress(DeviceInUse):
                server.start()

    async def close(self) -> None:
        """Close the connections of all, and end the servers."""
        for runtime in self._runtimes.values():
            await runtime.close()
        await asyncio.gather(*(server.stop() for server in self._servers.values()))

    def names(self) -> list[str]:
        """Of all, by the alphabet."""
        return sorted(self._back_ends)

    def show(self, name: str, turns: Turns) -> Shown:
        """One back end; `BackEndNotFound`."""
        back_end = self._get(name)
        running, waiting = turns.figures().get(_line(back_end).name, (0, 0))
        return Shown(
            back_end,
            dialect_of(back_end),
            sorted(self._on(name), key=lambda one: one.name.lower()),
            self._keys.where(name, back_end.key_env),
            self._runtimes[name].fault,
            running,
            waiting,
            self._servers[name].seen() if back_end.launch else None,
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
        """Delete one with its models; `errors.ModelInUse` names the personas that stand on it, or the collections that
        they embed.
        """
        async with self._changing:
            self._get(name)
            mine = self._on(name)
            if personas := sorted(one.name for one in mine if one.base):
                raise ModelInUse(
                    f"{', '.join(personas[:SHOWN])} stand on the back end {name!r}. Delete them first."
                )
            await self._require_unused([one.name for one in mine])
            await in_thread_for_good(partial(self._kept.remove_back_end, name))
            self.directory.forget(one.name for one in self._on(name))
            del self._back_ends[name]
            runtime = self._runtimes.pop(name)
            if isinstance(runtime, LaunchedRuntime):
                await runtime.stop_server()
                await in_thread_for_good(self._servers.pop(name).forget)
            await runtime.retire()
            await in_thread_for_good(partial(self._keys.put, name, ""))

    async def _become(self, old: BackEnd, wanted: Change, runtime: ModelRuntime) -> str:
        has_key = bool(old.base_url) and self._keys.where(old.name, old.key_env) != "none"
        back_end = await changed(old, wanted, has_key=has_key)
        if wanted.launch is not None:
            await in_thread(partial(check, wanted.launch, self._places))
            if old.launch is None and wanted.models is None:
                wanted = replace(wanted, models={old.name: Named(wanted.launch.model)})
        declared = {one.name: one for one in self._on(old.name) if not one.base}
        models, gone = await self._named(back_end, declared, wanted, runtime)
        if old.name in self._back_ends and dialect_of(back_end) != dialect_of(old):
            stay = [one for one in self._on(old.name) if one.name not in gone]
            defaults = await run_sync(self._kept.default_options)
            require_still_taken(dialect_of(back_end), stay, defaults)
        key = wanted.key or ""
        if has_key and not key and not back_end.key_env:
            key = self._keys.of(old.name)
        fresh = self._opened(back_end, key)
        try:
            fault, models = await _learned(fresh, models, asks=back_end.launch is None)
            if wanted.models is None:  # some may have been deleted or renamed meanwhile
                models = [one for one in models if self.directory.find(one.name)]
            await in_thread_for_good(partial(self._keep, back_end, key, models, gone))
        except BaseException:
            await fresh.close()
            raise
        former = self._runtimes.get(back_end.name)
        self.directory.forget(gone)
        self.directory.know(models)
        self._back_ends[back_end.name], self._runtimes[back_end.name] = back_end, fresh
        if former is not None:
            await former.retire()
        if back_end.launch is not None:
            await self._launched(back_end.name, back_end.launch, former)
        return fault

    async def _launched(self, name: str, launch: Launch, former: OpenAIStyleRuntime | None) -> None:
        """Start the server, or another one in its place."""
        server = self._servers[name]
        if launch != server.launch:
            if isinstance(former, LaunchedRuntime):
                await former.stop_server()
            server.launch = launch
        with suppress(DeviceInUse):  # it starts when it is asked after the training
            server.start()

    async def _know_what_it_says(self, name: str) -> None:
        """Of a server that has become ready: what it tells of its models is kept."""
        async with self._changing:
            back_end, runtime = self._back_ends.get(name), self._runtimes.get(name)
            if back_end is None or runtime is None:
                return
            before = self._on(name)
            _, models = await _learned(runtime, [unsaid(one) for one in before])
            stay = [self.directory.find(one.name) is one for one in before]  # or were changed since
            models = [one for one, stays in zip(models, stay, strict=True) if stays]
            await in_thread_for_good(partial(self._kept.put_back_end, back_end, models, ()))
            self.directory.know(models)

    async def _named(
        self,
        back_end: BackEnd,
        declared: Mapping[str, RemoteModel],
        wanted: Change,
        runtime: ModelRuntime,
    ) -> tuple[list[RemoteModel], list[str]]:
        """The models that it is to have, and the names of those that it has no more."""
        models, gone = list(declared.values()), list[str]()
        former = self._back_ends.get(back_end.name)
        if former and former.launch != back_end.launch:
            models = [moved(one, former, back_end) for one in self._on(back_end.name)]
        if wanted.models is not None:
            models = [named(back_end, *one) for one in wanted.models.items()]
            require_served(back_end, models)
            kept = {model_key(one.name) for one in models}
            gone = [name for name in declared if model_key(name) not in kept]
            embed = {model_key(one.name) for one in models if "embed" in one.capabilities}
            await self._require_free(runtime, [one.name for one in models], set(declared))
            await self._require_unused([one for one in declared if model_key(one) not in embed])
        if not models:
            raise InvalidOption(
                'models: name at least one, as {"our-name": "its-name"}.', where="models"
            )
        return models, gone

    def _keep(
        self, back_end: BackEnd, key: str, models: Collection[RemoteModel], gone: Collection[str]
    ) -> None:
        """Keep its key and its rows, or neither; blocks."""
        before = self._keys.of(back_end.name)
        self._keys.put(back_end.name, key)
        try:
            self._kept.put_back_end(back_end, models, gone)
        except BaseException:
            self._keys.put(back_end.name, before)
            raise

    async def _require_unused(self, names: Collection[str]) -> None:
        """`errors.ModelInUse` names the collections that models of these names embed."""
        if collections := await run_sync(self._kept.embedded_by, names):
            raise ModelInUse(
                f"Collections are embedded by these models: {', '.join(collections[:SHOWN])}. "
                "Give them another one (POST /collections/ID/embed), or delete them first."
            )

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

    def _opened(self, back_end: BackEnd, key: str) -> OpenAIStyleRuntime:
        """A runtime with the key that belongs to its address: it sends no other, whatever is changed later."""
        dialect = dialect_of(back_end)
        if back_end.launch is not None:
            return self._opened_here(back_end, back_end.launch, dialect)
        variable = back_end.key_env
        client = OpenAIClient(
            back_end.name,
            back_end.base_url,
            lambda: secret(variable) if variable else key,
            key_header=dialect.key_header,
            bounds=back_end.bounds,
            ca_file=self._ca_file,
        )
        return OpenAIStyleRuntime(client, dialect, self.directory)

    def _opened_here(
        self, back_end: BackEnd, launch: Launch, dialect: Dialect
    ) -> OpenAIStyleRuntime:
        """A runtime over the server of a back end, which starts when it is asked, or told to."""
        name = back_end.name
        server = self._servers.get(name)
        if server is None:
            server = self._servers[name] = Server(name, launch, self._places, self._reserved)
            server.ready = partial(self._know_what_it_says, name)
        client = OpenAIClient(
            name,
            ADDRESS,
            lambda: "",
            bounds=back_end.bounds,
            transport=ServedTransport(server.address),
        )
        return LaunchedRuntime(client, dialect, self.directory, server)

    def _get(self, name: str) -> BackEnd:
        if name not in self._back_ends:
            known = ", ".join(self.names()) or "none yet"
            raise BackEndNotFound(f"No back end named {name[:60]!r}. Back ends: {known}.")
        return self._back_ends[name]

    def _on(self, name: str) -> list[RemoteModel]:
        return [one for one in self.directory.all() if one.back_end == name]


async def _learned(
    runtime: OpenAIStyleRuntime, models: Collection[RemoteModel], *, asks: bool = True
) -> tuple[str, list[RemoteModel]]:
    """The models with what their server, which is asked, says of them, and what was the matter where it did not."""
    fault = ""
    try:
        models = await runtime.learn(models) if asks else models
    except ApiError as error:
        fault = error.detail
    known = [replace(one, context_length=one.context_length or UNKNOWN_CONTEXT) for one in models]
    return fault, known


def _line(back_end: BackEnd) -> Line:
    return Line(f"back end {back_end.name}", back_end.max_concurrency, back_end.max_queued)
