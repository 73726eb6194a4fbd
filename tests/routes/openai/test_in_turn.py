"""Calls that are told one after the other, however a model writes them."""

from collections.abc import AsyncGenerator

import pytest

from api.rag.receipt import AnswerEvent
from api.routes.openai.in_turn import in_turn
from api.runtime import CallPiece

pytestmark = pytest.mark.anyio


async def test_what_follows_whole_arguments_goes_to_no_other_call() -> None:
    async def written() -> AsyncGenerator[AnswerEvent, None]:
        yield CallPiece(0, "call_0", "f", '{"a": ')
        yield CallPiece(1, "call_1", "g", '{"b": ')
        yield CallPiece(0, arguments="1}")
        yield CallPiece(0, arguments="\n")
        yield CallPiece(1, arguments="2}")

    told = [event async for event in in_turn(written()) if isinstance(event, CallPiece)]
    assert [one.index for one in told] == [0, 0, 1, 1]
    assert "".join(one.arguments for one in told) == '{"a": 1}{"b": 2}'
