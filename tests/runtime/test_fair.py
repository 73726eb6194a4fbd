"""Answers in turn: keys take turns, the bound holds, and who goes away gives the place back."""

import asyncio
from contextlib import aclosing

import pytest

from api.errors import TooManyRequests
from api.runtime import Message, Options
from api.runtime.fair import ASKING, Asking, FairRuntime, Line, Turns
from tests.fakes import FakeRuntime

pytestmark = pytest.mark.anyio


class Asker:
    """Takes places and writes down who got them in which order; each is held until it is freed."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.served: list[str] = []
        self.free = asyncio.Semaphore(0)

    async def ask(self, key: str, *, in_background: bool = False) -> None:
        async with self.turns.of("demo", Asking(key, in_background)):
            self.served.append(key)
            await self.free.acquire()

    async def begin(self, *keys: str, in_background: bool = False) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(self.ask(key, in_background=in_background)) for key in keys]
        await settle()
        return tasks

    async def end_all(self, tasks: list[asyncio.Task[None]]) -> None:
        for _ in tasks:
            self.free.release()
            await settle()
        await asyncio.gather(*tasks, return_exceptions=True)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_first_of_one_key_goes_before_the_third_of_another() -> None:
    asker = Asker(Turns(1, 100))
    tasks = await asker.begin(*["many"] * 5, "few")
    await asker.end_all(tasks)
    assert asker.served == ["many", "many", "few", "many", "many", "many"]
    assert asker.turns.figures() == {}


async def test_what_nobody_waits_for_comes_last() -> None:
    asker = Asker(Turns(1, 100))
    tasks = await asker.begin("batch", "batch", in_background=True)
    tasks += await asker.begin("a", "a")
    await asker.end_all(tasks)
    assert asker.served == ["batch", "a", "a", "batch"]


async def test_what_nobody_waits_for_leaves_one_of_several_places_free() -> None:
    asker = Asker(Turns(3, 100))
    tasks = await asker.begin(*["batch"] * 4, in_background=True)
    assert asker.turns.figures() == {"demo": (2, 2)}
    tasks += await asker.begin("a", "a")
    assert (asker.served, asker.turns.figures()) == (["batch", "batch", "a"], {"demo": (3, 3)})
    await asker.end_all(tasks)
    assert asker.served == ["batch", "batch", "a", "a", "batch", "batch"]


async def test_places_that_are_added_or_taken_away_hold_for_who_waits_already() -> None:
    places = [1]
    asker = Asker(Turns(1, 1, line_of=lambda _: Line("back end", places[0], 100)))
    tasks = await asker.begin("a", "b", "c", "d", "e")
    places[0] = 3
    tasks += await asker.begin("f")
    assert asker.turns.figures() == {"back end": (3, 3)}  # a answers since before the change
    places[0] = 1
    asker.free.release()
    await settle()
    assert asker.turns.figures() == {"back end": (2, 3)}
    await asker.end_all(tasks)
    assert asker.served == ["a", "b", "c", "d", "e", "f"]


async def test_one_more_than_may_wait_is_refused() -> None:
    asker = Asker(Turns(2, 1))
    tasks = await asker.begin("a", "a", "a")
    assert asker.turns.figures() == {"demo": (2, 1)}
    with pytest.raises(TooManyRequests, match="1 requests wait"):
        await asker.ask("b")
    await asker.end_all(tasks)


async def test_a_key_that_waits_less_is_let_in_for_the_last_of_the_one_that_waits_most() -> None:
    asker = Asker(Turns(1, 3))
    many = await asker.begin(*["many"] * 4)
    few = await asker.begin("few")
    with pytest.raises(TooManyRequests):
        await many[-1]
    with pytest.raises(TooManyRequests):
        await asker.ask("many")
    await asker.end_all([*many[:-1], *few])
    assert asker.served == ["many", "many", "few", "many"]


async def test_what_nobody_waits_for_makes_room() -> None:
    asker = Asker(Turns(1, 1))
    running, batch = await asker.begin("batch", "batch", in_background=True)
    waited_for = await asker.begin("a")
    with pytest.raises(TooManyRequests):
        await batch
    with pytest.raises(TooManyRequests):
        await asker.ask("other", in_background=True)
    await asker.end_all([running, *waited_for])
    assert asker.served == ["batch", "a"]


async def test_who_goes_away_in_the_same_moment_makes_the_room() -> None:
    asker = Asker(Turns(1, 2))
    tasks = await asker.begin("many", "many", "many")
    tasks.append(asyncio.create_task(asker.ask("few")))
    tasks[2].cancel()
    await settle()
    await asker.end_all(tasks)
    assert asker.served == ["many", "many", "few"]
    assert asker.turns.figures() == {}


async def test_who_goes_away_gives_the_place_back() -> None:
    asker = Asker(Turns(1, 100))
    first, waiting, last = await asker.begin("a", "a", "b")
    waiting.cancel()
    first.cancel()
    await settle()
    assert asker.served == ["a", "b"]
    asker.free.release()
    await last
    assert asker.turns.figures() == {}


async def test_who_is_served_and_goes_away_in_the_same_moment_gives_it_on() -> None:
    asker = Asker(Turns(1, 100))
    first, second, third = await asker.begin("a", "b", "c")
    asker.free.release()
    await asyncio.sleep(0)  # the first ends, and the second has its place without knowing it yet
    second.cancel()
    await settle()
    asker.free.release()
    await asyncio.gather(first, third)
    assert (asker.served[-1], asker.turns.figures()) == ("c", {})


async def test_an_answer_that_is_not_read_to_its_end_gives_its_place_back() -> None:
    runtime = FairRuntime(FakeRuntime(lambda _: "one two three"), Turns(1, 0))
    for _ in range(3):
        async with aclosing(runtime.chat("demo", [Message("user", "x")], Options())) as pieces:
            await anext(pieces)


async def test_it_is_the_caller_who_asks() -> None:
    turns = Turns(1, 100)
    runtime = FairRuntime(FakeRuntime(), turns)
    ASKING.set(Asking("mine"))
    async with aclosing(runtime.chat("demo", [Message("user", "x")], Options())) as pieces:
        assert [piece.text async for piece in pieces]
