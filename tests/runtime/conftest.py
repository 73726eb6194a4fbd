"""An embedded runtime whose limits a test chooses."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from api.runtime import Message, ModelSource, Options, Persona
from api.runtime.llama_cpp.child import Child, Limits
from api.runtime.llama_cpp.children import Children
from api.runtime.llama_cpp.registry import Registry
from api.runtime.llama_cpp.runtime import LlamaCppRuntime

HELLO = [Message("user", "Hello, who are you?")]
WORDS: dict[str, Any] = {
    "type": "array",
    "minItems": 40,
    "maxItems": 40,
    "items": {"type": "array", "minItems": 40, "maxItems": 40, "items": {"enum": ["word"]}},
}
LONG = Options(json_schema=WORDS, max_tokens=700, temperature=0)
SHORT = Options(max_tokens=4, temperature=0)


class Embedded:
    """A runtime with models `demo` and `embedder`, and a look at its children."""

    def __init__(self, folder: Path, children: Children, context_length: int) -> None:
        self.registry = Registry(folder)
        self.children = children
        self.runtime = LlamaCppRuntime(
            self.registry, children, context_length=context_length, gpu_present=lambda: True
        )

    async def child(self) -> Child:
        """The only loaded child, once it is loaded."""
        (child,) = self.children.loaded()
        return child

    async def ask(self, name: str = "demo", options: Options = SHORT) -> str:
        """The whole answer of a model."""
        async with aclosing(self.runtime.chat(name, HELLO, options)) as stream:
            return "".join([piece.text async for piece in stream])

    async def create(self, name: str, source: ModelSource, persona: Persona | None = None) -> None:
        """Create a model to the end."""
        await self.runtime.create_model(name, source, persona or Persona())

    async def slots(self) -> list[dict[str, Any]]:
        """What the only child says of each of its slots."""
        http = (await self.child()).client._http
        slots: list[dict[str, Any]] = (await http.get("/slots")).json()
        return slots

    async def busy(self) -> int:
        """Generations that go on now, by the child's own word."""
        return sum(slot["is_processing"] for slot in await self.slots())


Opener = Callable[..., Embedded]


@pytest.fixture
async def open_embedded(
    registry_of_two: Callable[[Path], None], tmp_path: Path
) -> AsyncIterator[Opener]:
    """Opens an embedded runtime; it is closed, and nothing is left of it, at the end."""
    opened: list[Embedded] = []
    registry_of_two(tmp_path / "models")

    def open_one(
        *, most: int = 4, idle_seconds: float = 60, context_length: int = 2048, **limits: Any
    ) -> Embedded:
        children = Children(Limits(threads=1, **limits), most=most, idle_seconds=idle_seconds)
        one = Embedded(tmp_path / "models", children, context_length)
        opened.append(one)
        return one

    yield open_one
    for one in opened:
        await one.runtime.close()
        assert not one.children.loaded()


def is_gone(pid: int) -> bool:
    """Whether a process has ended and was waited for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def until(happened: Callable[[], bool | Awaitable[bool]], seconds: float = 60) -> None:
    """Wait for something; fails when it does not happen in time."""
    async with asyncio.timeout(seconds):
        while True:
            answer = happened()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.02)
