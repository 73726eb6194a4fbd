"""Who embeds when: counted in turns, not in seconds."""

import anyio
import pytest
from anyio.lowlevel import checkpoint

from api.index.turns import ALONE_TOKENS, ASKED_TOKENS, SHARED_TOKENS, Turns, fitting
from api.store.chunks import Chunk

pytestmark = pytest.mark.anyio


async def test_imports_take_turns_so_that_a_small_one_waits_as_long_as_it_works(
    turns: Turns,
) -> None:
    order: list[str] = []
    may_go_on = anyio.Event()

    async def embed(name: str, times: int) -> None:
        for _ in range(times):
            async with turns.turn():
                order.append(name)
                await may_go_on.wait()
                await checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(embed, "big", 500)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(embed, "small", 3)
        await anyio.wait_all_tasks_blocked()
        may_go_on.set()
    assert order[:7] == ["big", "small", "big", "small", "big", "small", "big"]
    assert len(order) == 503


async def test_no_turn_begins_while_a_question_is_embedded(turns: Turns) -> None:
    began = anyio.Event()

    async def embed() -> None:
        async with turns.turn():
            began.set()

    async with anyio.create_task_group() as group:
        with turns.question():
            group.start_soon(embed)
            with turns.question():
                await anyio.wait_all_tasks_blocked()
            await anyio.wait_all_tasks_blocked()
            assert not began.is_set()
    assert began.is_set()


async def test_a_turn_is_long_while_nobody_else_wants_anything(turns: Turns) -> None:
    async with turns.turn() as tokens:
        assert tokens == ALONE_TOKENS
    async with anyio.create_task_group() as group, turns.turn():
        group.start_soon(_turn, turns, SHARED_TOKENS)
        group.start_soon(_turn, turns, ALONE_TOKENS)
        await anyio.wait_all_tasks_blocked()
    with turns.question():
        pass
    async with turns.turn() as tokens:
        assert tokens == ASKED_TOKENS


async def _turn(turns: Turns, expected: int) -> None:
    async with turns.turn() as tokens:
        assert tokens == expected


async def test_a_turn_that_is_given_up_while_it_waits_keeps_nobody_waiting(turns: Turns) -> None:
    with turns.question(), anyio.move_on_after(0.01):
        await _turn(turns, 0)
    await _turn(turns, ASKED_TOKENS)


@pytest.mark.parametrize(
    ("tokens", "room", "taken"), [([9], 1, 1), ([4, 4, 4], 8, 2), ([4, 9, 1], 8, 1), ([], 8, 0)]
)
def test_a_turn_takes_the_first_chunks_that_fit_and_one_at_least(
    tokens: list[int], room: int, taken: int
) -> None:
    chunks = [Chunk(n, 1, "", "text", count) for n, count in enumerate(tokens)]
    assert fitting(chunks, room) == chunks[:taken]


@pytest.fixture
def turns() -> Turns:
    """Turns of which nobody has taken any."""
    return Turns()
