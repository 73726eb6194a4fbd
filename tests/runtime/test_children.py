"""The embedded runtime when its children die, hang, stay idle, or are many."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from api.errors import BackEndFailed, Unavailable
from api.runtime import GGUFFile, Message, Options, Piece
from api.runtime.llama_cpp.child import Child, Launch, Limits, LoadFailed, spawn
from tests.runtime.conftest import HELLO, LONG, SHORT, Opener, is_gone, until

pytestmark = [pytest.mark.anyio, pytest.mark.real]

PROGRAMS = Path(__file__).parent / "programs"


async def test_two_streams_are_answered_at_once(open_embedded: Opener) -> None:
    runtime = open_embedded().runtime
    events: list[str] = []
    begun = asyncio.Event()

    async def stream(name: str) -> None:
        async for piece in runtime.chat("demo", HELLO, LONG):
            events.append(f"{name} last" if piece.usage else name)
            begun.set()

    first = asyncio.create_task(stream("first"))
    await begun.wait()
    await asyncio.gather(first, stream("second"))
    assert events.index("second") < events.index("first last")


async def test_a_stream_that_is_closed_stops_the_generation(open_embedded: Opener) -> None:
    embedded = open_embedded()
    endless = replace(LONG, max_tokens=1900)
    async with aclosing(embedded.runtime.chat("demo", HELLO, endless)) as stream:
        await anext(stream)
        assert await embedded.busy() == 1

    async def is_idle() -> bool:
        return await embedded.busy() == 0

    await until(is_idle)
    tokens = max(slot.get("n_prompt_tokens", 0) for slot in await embedded.slots())
    assert 0 < tokens < 1900


async def test_requests_beyond_the_slots_wait_and_are_answered(open_embedded: Opener) -> None:
    embedded = open_embedded()
    answers = await asyncio.gather(*(embedded.ask() for _ in range(12)))
    assert len(answers) == 12
    assert (await embedded.child()).open == 0


async def test_requests_beyond_all_measure_are_refused(open_embedded: Opener) -> None:
    embedded = open_embedded(requests=2)
    answers = await asyncio.gather(*(embedded.ask() for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers if isinstance(answer, Exception)] == [Unavailable]
    assert await embedded.ask()


async def test_a_request_that_is_cancelled_while_it_waits_takes_no_slot(
    open_embedded: Opener,
) -> None:
    embedded = open_embedded()
    asking = [asyncio.create_task(embedded.ask(options=LONG)) for _ in range(6)]
    await until(lambda: any(child.open == 6 for child in embedded.children.loaded()))
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    assert (await embedded.child()).open == 0
    assert await embedded.ask()


async def test_a_killed_child_ends_its_stream_and_the_next_request_answers(
    open_embedded: Opener,
) -> None:
    embedded = open_embedded()
    stream = embedded.runtime.chat("demo", HELLO, LONG)
    await anext(stream)
    pid = (await embedded.child()).process.pid
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(BackEndFailed):
        async with asyncio.timeout(60):  # it may be silent for twice as long
            await _rest_of(stream)
    await until(lambda: is_gone(pid))
    assert await embedded.ask()
    assert (await embedded.child()).process.pid != pid


async def test_a_child_that_hangs_is_given_up_and_the_next_request_answers(
    open_embedded: Opener,
) -> None:
    embedded = open_embedded(stall_seconds=3)
    stream = embedded.runtime.chat("demo", HELLO, LONG)
    await anext(stream)
    pid = (await embedded.child()).process.pid
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(BackEndFailed, match="said nothing"):
        await _rest_of(stream)
    await until(lambda: is_gone(pid))
    assert await embedded.ask()


async def test_a_child_that_keeps_dying_is_refused_for_a_while(open_embedded: Opener) -> None:
    embedded = open_embedded(program=PROGRAMS / "exits_at_once.py", deaths=2)
    for _ in range(2):
        with pytest.raises(LoadFailed, match="out of memory error"):
            await embedded.ask()
    with pytest.raises(Unavailable) as refusal:
        await embedded.ask()
    assert 0 < (refusal.value.retry_after_seconds or 0) <= 60


async def test_a_child_that_never_gets_ready_is_given_up(open_embedded: Opener) -> None:
    embedded = open_embedded(program=PROGRAMS / "says_nothing.py", start_seconds=0.5)
    with pytest.raises(BackEndFailed, match=r"within 0\.5 seconds"):
        await embedded.ask()
    assert embedded.children.loaded() == []


async def test_a_child_that_talks_nonsense_is_given_up(open_embedded: Opener) -> None:
    with pytest.raises(LoadFailed):
        await open_embedded(program=PROGRAMS / "talks_nonsense.py").ask()


@pytest.mark.parametrize("kind", ["early", "half", "error", "html"])
async def test_an_answer_that_is_none_is_a_failure_of_the_back_end(
    open_embedded: Opener, kind: str
) -> None:
    runtime = open_embedded(program=PROGRAMS / "serves_nonsense.py").runtime
    with pytest.raises(BackEndFailed):
        await _rest_of(runtime.chat("demo", [Message("user", kind)], Options()))


async def test_an_idle_child_is_stopped(open_embedded: Opener) -> None:
    embedded = open_embedded(idle_seconds=0.2)
    async with aclosing(embedded.runtime.chat("demo", HELLO, SHORT)) as stream:
        await anext(stream)
        pid = (await embedded.child()).process.pid
    await until(lambda: is_gone(pid))
    assert embedded.children.loaded() == []
    assert await embedded.ask()


async def test_a_child_is_not_idle_while_it_answers(open_embedded: Opener) -> None:
    embedded = open_embedded(idle_seconds=0.1)
    async with aclosing(embedded.runtime.chat("demo", HELLO, LONG)) as stream:
        await anext(stream)
        pid = (await embedded.child()).process.pid
        await asyncio.sleep(0.5)
        pieces = await _rest_of(stream)
    assert pieces[-1].usage is not None
    await until(lambda: is_gone(pid))


async def test_the_least_recently_used_child_makes_room(open_embedded: Opener) -> None:
    embedded = open_embedded(most=1)
    await embedded.ask()
    pid = (await embedded.child()).process.pid
    await embedded.runtime.embed("embedder", ["text"])
    assert is_gone(pid)
    assert len(embedded.children.loaded()) == 1


async def test_a_busy_child_is_never_stopped_to_make_room(open_embedded: Opener) -> None:
    embedded = open_embedded(most=1)
    async with aclosing(embedded.runtime.chat("demo", HELLO, LONG)) as stream:
        await anext(stream)
        assert await embedded.runtime.embed("embedder", ["text"])
        pieces = await _rest_of(stream)
    assert pieces[-1].usage is not None
    assert len(embedded.children.loaded()) == 1


async def test_memory_is_released_after_the_open_answers(open_embedded: Opener) -> None:
    embedded = open_embedded()
    stream = embedded.runtime.chat("demo", HELLO, LONG)
    await anext(stream)
    pid = (await embedded.child()).process.pid
    pieces, _ = await asyncio.gather(_rest_of(stream), embedded.runtime.release_memory())
    assert pieces[-1].usage is not None
    assert is_gone(pid)


async def test_closing_ends_open_streams_and_every_child(open_embedded: Opener) -> None:
    embedded = open_embedded()
    stream = embedded.runtime.chat("demo", HELLO, LONG)
    await anext(stream)
    pid = (await embedded.child()).process.pid
    await embedded.runtime.close()
    assert is_gone(pid)
    with pytest.raises(BackEndFailed):
        await _rest_of(stream)
    with pytest.raises(Unavailable):
        await embedded.ask()


async def test_closing_while_a_model_loads_ends_the_request(open_embedded: Opener) -> None:
    embedded = open_embedded(program=PROGRAMS / "says_nothing.py")
    asking = asyncio.create_task(embedded.ask())
    await asyncio.sleep(0.1)
    await embedded.runtime.close()
    with pytest.raises(Unavailable):
        await asking


async def test_a_file_that_comes_again_is_not_loaded_by_the_child_of_a_creation_that_was_broken_off(
    open_embedded: Opener, demo_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That one may have looked for the file while it was gone."""
    embedded, may_start, spawns = open_embedded(), asyncio.Event(), 0

    async def slowly(launch: Launch, limits: Limits) -> Child:
        nonlocal spawns
        spawns += 1
        await may_start.wait()
        return await spawn(launch, limits)

    monkeypatch.setattr("api.runtime.llama_cpp.children.spawn", slowly)
    await embedded.runtime.delete_model("demo")
    creation = asyncio.create_task(embedded.create("half", GGUFFile(demo_gguf)))
    await until(lambda: spawns == 1)
    creation.cancel()
    await asyncio.wait([creation])
    again = asyncio.create_task(embedded.create("half", GGUFFile(demo_gguf)))
    await until(lambda: spawns == 2)
    may_start.set()
    await again
    assert await embedded.ask("half")


async def test_a_larger_context_gets_a_child_of_its_own(open_embedded: Opener) -> None:
    embedded = open_embedded(context_length=512)
    await embedded.ask()
    await embedded.ask(options=Options(num_ctx=1500, max_tokens=4))
    contexts = {child.launch.context_length for child in embedded.children.loaded()}
    assert contexts == {512, 2048}


async def test_a_child_knows_no_secret_of_ours(
    open_embedded: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_FASTAPI_API_KEY", "planted")
    embedded = open_embedded()
    await embedded.ask()
    pid = (await embedded.child()).process.pid
    for file in ("environ", "cmdline"):
        assert b"planted" not in Path(f"/proc/{pid}/{file}").read_bytes()


async def test_a_child_dies_with_its_parent(tmp_path: Path, open_embedded: Opener) -> None:
    program = tmp_path / "parent.py"
    program.write_text(_PARENT)
    command = [sys.executable, str(program), str(tmp_path / "models")]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert not _has_ended(pid)
        parent.kill()
    await until(lambda: _has_ended(pid))


_PARENT = """
import asyncio, sys
from pathlib import Path
from api.runtime import Message, Options
from api.runtime.llama_cpp.child import Limits
from api.runtime.llama_cpp.children import Children
from api.runtime.llama_cpp.runtime import LlamaCppRuntime
from api.runtime.llama_cpp.registry import Registry

async def main():
    children = Children(Limits(1), most=1, idle_seconds=60)
    runtime = LlamaCppRuntime(Registry(Path(sys.argv[1])), children)
    await runtime.count_tokens("demo", [Message("user", "Hello")])
    print(children.loaded()[0].process.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def _has_ended(pid: int) -> bool:
    """Gone, or dead and waiting for whoever adopted it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


async def _rest_of(stream: AsyncIterator[Piece]) -> list[Piece]:
    return [piece async for piece in stream]
