"""Two back ends, each of which is llama.cpp's own server, beside a home runtime that has no model."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from api.runtime import ModelRuntime
from api.runtime.openai_style.client import OpenAIClient
from api.runtime.openai_style.dialect import Dialect
from api.runtime.openai_style.directory import Directory, RemoteModel
from api.runtime.openai_style.learning import learned
from api.runtime.openai_style.runtime import OpenAIStyleRuntime
from api.runtime.routed import RoutedRuntime
from api.runtime.training import Training
from tests.contracts.llama_server import KEY

DIALECT = Dialect(counts="llama.cpp")


class BackEndsOf:
    """`routed.BackEnds` of a directory."""

    def __init__(self, directory: Directory, runtimes: Mapping[str, OpenAIStyleRuntime]) -> None:
        self._directory = directory
        self._runtimes = runtimes

    def behind(self, name: str) -> ModelRuntime | None:
        """What runs the model of that name."""
        found = self._directory.find(name)
        return self._runtimes[found.back_end] if found else None

    def all(self) -> list[OpenAIStyleRuntime]:
        """Every one."""
        return list(self._runtimes.values())

    def reserve(self, trainings: Sequence[Training]) -> None:
        """Nothing of them is loaded here."""


@asynccontextmanager
async def routed_over(
    home: ModelRuntime, addresses: Mapping[str, str]
) -> AsyncIterator[RoutedRuntime]:
    """Each address is the back end of one model, of the same name; `embedder` is one that embeds."""
    clients = {name: OpenAIClient(name, url, lambda: KEY) for name, url in addresses.items()}
    models = []
    for name, client in clients.items():
        abilities = {"embed"} if name == "embedder" else {"chat", "json_schema", "tools"}
        listed = (await client.get("/models"))["data"][0]["id"]
        model = RemoteModel(name, name, listed, 0, frozenset(abilities))
        models += await learned(client, DIALECT, [model])
    directory = Directory(models)
    runtimes = {
        name: OpenAIStyleRuntime(client, DIALECT, directory) for name, client in clients.items()
    }
    yield RoutedRuntime(home, BackEndsOf(directory, runtimes))
    for client in clients.values():
        await client.close()
