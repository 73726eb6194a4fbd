"""A runtime whose models lie on the GPU, while a job trains there."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api.errors import DeviceInUse
from api.runtime import ExistingModel, Message, ModelRuntime, Options, Persona
from api.runtime.llama_cpp.child import Limits
from api.runtime.llama_cpp.children import Children
from api.runtime.llama_cpp.registry import Registry
from api.runtime.llama_cpp.runtime import LlamaCppRuntime
from api.runtime.ollama.client import OllamaClient
from api.runtime.training import Training
from tests.contracts.ollama_server import ollama_runtime
from tests.fakes import FakeRuntime
from tests.ollama_double.running import running_double

pytestmark = pytest.mark.anyio

HELLO = [Message("user", "Hello, who are you?")]
CLAIMS_A_GPU = Path(__file__).parent / "programs" / "claims_a_gpu.py"


@dataclass(frozen=True)
class OnGPU:
    """A runtime whose models are loaded on a GPU."""

    runtime: ModelRuntime
    loaded: Callable[[], Awaitable[int]]
    """How many models are loaded."""

    async def ask(self) -> str:
        """An answer of `demo`."""
        options = Options(max_tokens=3, temperature=0)
        async with aclosing(self.runtime.chat("demo", HELLO, options)) as stream:
            return "".join([piece.text async for piece in stream])


@asynccontextmanager
async def fake(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[OnGPU]:
    del request, folder
    runtime = FakeRuntime(device="gpu", embedding_model="embedder")

    async def loaded() -> int:
        return int(not runtime.memory_releases)

    yield OnGPU(runtime, loaded)


@asynccontextmanager
async def llama_cpp(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[OnGPU]:
    request.getfixturevalue("registry_of_two")(folder / "models")
    limits = Limits(threads=1, program=CLAIMS_A_GPU)
    children = Children(limits, most=4, idle_seconds=60)
    runtime = LlamaCppRuntime(Registry(folder / "models"), children, context_length=2048)

    async def loaded() -> int:
        return len(children.loaded())

    yield OnGPU(runtime, loaded)
    await runtime.close()


@asynccontextmanager
async def ollama(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[OnGPU]:
    request.getfixturevalue("ollama_of_two")(folder / "ollama")
    with running_double(folder / "ollama", has_gpu=True) as url:
        runtime, client = ollama_runtime(url), OllamaClient(url, start_seconds=60)

        async def loaded() -> int:
            return len(await client.loaded())

        yield OnGPU(runtime, loaded)
        await client.close()
        await runtime.close()


RUNTIMES = [
    pytest.param(fake, id="fake"),
    pytest.param(llama_cpp, id="llama_cpp", marks=pytest.mark.real),
    pytest.param(ollama, id="ollama", marks=pytest.mark.real),
]


@pytest.fixture(params=RUNTIMES)
async def there(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OnGPU]:
    async with request.param(request, tmp_path) as there:
        yield there


async def test_nothing_is_loaded_where_a_job_trains_until_it_ends(there: OnGPU) -> None:
    runtime = there.runtime
    assert await there.ask()
    runtime.reserve([Training("job_1", "gpu")])
    await runtime.release_memory("gpu")
    assert await there.loaded() == 0
    for call in (
        there.ask(),
        runtime.embed("embedder", ["text"]),
        runtime.count_tokens("demo", HELLO),
    ):
        with pytest.raises(DeviceInUse, match="Job job_1 trains on the GPU") as refusal:
            await call
        assert refusal.value.retry_after_seconds == 60
    await runtime.create_model("ada", ExistingModel("demo"), Persona("You are Ada."))
    assert await there.loaded() == 0
    runtime.reserve([])
    assert await there.ask()
    assert await runtime.embed("embedder", ["text"])


async def test_until_when_a_job_trains_is_said(there: OnGPU) -> None:
    ends_at = datetime.now(UTC) + timedelta(minutes=12)
    there.runtime.reserve([Training("job_1", "gpu", ends_at)])
    with pytest.raises(DeviceInUse, match=f"until about {ends_at:%Y-%m-%d %H:%M} UTC") as refusal:
        await there.ask()
    assert 700 <= (refusal.value.retry_after_seconds or 0) <= 720
    assert refusal.value.extra["until"] == ends_at.isoformat(timespec="seconds")


async def test_models_on_another_device_than_the_training_one_stay(there: OnGPU) -> None:
    assert await there.ask()
    there.runtime.reserve([Training("job_1", "cpu")])
    await there.runtime.release_memory("cpu")
    assert await there.loaded() == 1
    assert await there.ask()
