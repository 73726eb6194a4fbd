"""Values and calls from the demo model, which knows nothing of either: their form is the grammar's doing."""

from collections.abc import Mapping
from typing import Any, cast

import pytest

from api.rag import Answers, Question
from api.rag.room import Limits
from api.runtime import Message, Options
from api.structured.calling import called
from api.structured.extracting import Form, extracted
from api.structured.sandbox import Sandbox
from tests.runtime.conftest import Opener

pytestmark = [pytest.mark.anyio, pytest.mark.real]
MEMBERS: Mapping[str, Any] = {
    "unit": {"enum": ["days", "months"]},
    "count": {"type": "integer", "minimum": 0, "maximum": 99},
}
SCHEMA = {"type": "object", "properties": MEMBERS, "required": [*MEMBERS]}
DOUBLE = 'def double(n: Literal[2, 4]) -> int:\n    "Twice a number."\n    return 2 * n'


async def test_they_hold_their_schemas(open_embedded: Opener) -> None:
    runtime = open_embedded().runtime
    nothing = cast(Any, None)  # no documents here
    limits = Limits(0, 0, 0.5, 200, 1024, 1, None)
    answers = Answers(runtime, nothing, nothing, nothing, limits, "")
    question = Question(
        await runtime.show("demo"),
        [Message("user", "How long is the warranty?")],
        options=Options(max_tokens=80),
    )
    for afterwards in (False, True):
        found = await extracted(answers, question, Form(SCHEMA, afterwards))
        assert found.reason is None, found.answer.message
        assert found.value["unit"] in ("days", "months")
        assert 0 <= found.value["count"] <= 99
    sandbox = Sandbox(None)
    made = await called(answers, question, [DOUBLE], sandbox)
    sandbox.close()
    assert bool(made.calls) != bool(made.answer.message)
    assert [one.value for one in made.calls] in ([], [4], [8])
