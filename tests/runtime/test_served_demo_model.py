"""The demo model as it is served: what its card says, through llama.cpp."""

import json
from contextlib import aclosing
from pathlib import Path

import pytest

from api.runtime import Message, Options
from tests.runtime.conftest import Opener

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
GREEDY = Options(temperature=0, max_tokens=120)


async def test_it_answers_as_many_of_the_fixed_cases_as_its_card_says(
    open_embedded: Opener,
) -> None:
    lines = (ROOT / "tests" / "data" / "demo_cases.jsonl").read_text(encoding="utf-8").splitlines()
    abilities = json.loads((ROOT / "examples" / "demo_model" / "abilities.json").read_text())
    runtime = open_embedded().runtime
    wrong = []
    for case in map(json.loads, lines):
        messages = [Message(turn["role"], turn["content"]) for turn in case["messages"]]
        async with aclosing(runtime.chat("demo", messages, GREEDY)) as pieces:
            said = "".join([piece.text async for piece in pieces])
        if said != case["expected"]:
            wrong.append((case["id"], said, case["expected"]))
    assert len(lines) == 50
    assert len(lines) - len(wrong) >= abilities["fixed_cases_floor"], wrong
