"""Tools, schemas and thoughts where llama.cpp itself renders and reads them, by a template that knows them."""

from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from api.errors import InvalidOption
from api.runtime import ExistingModel, Message, Options, Persona, Piece, ToolCall
from tests.runtime.conftest import HELLO, Embedded, Opener

pytestmark = [pytest.mark.anyio, pytest.mark.real]

TEMPLATE = """{%- if tools %}<|im_start|>system
For each call write <tool_call>
{"name": <name>, "arguments": <arguments>}
</tool_call>
{%- for tool in tools %}
{{ tool | tojson }}
{%- endfor %}<|im_end|>
{% endif %}
{%- for message in messages %}
    {{- '<|im_start|>' + ('user' if message.role == 'tool' else message.role) + '\\n' }}
    {{- message.content }}
    {%- for call in message.tool_calls or [] %}
        {{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
        {{- call.function.arguments | tojson }}
        {{- '}\\n</tool_call>' }}
    {%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""
THINKS = """{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' }}
    {%- if message.reasoning_content %}
        {{- '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' }}
    {%- endif %}
    {{- message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n<think>\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{ '\\n</think>\\n\\n' }}{% endif %}
{%- endif %}"""
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "sing", "description": "Sings."}}


async def pieces_of(
    embedded: Embedded, name: str, messages: list[Message], options: Options
) -> list[Piece]:
    async with aclosing(embedded.runtime.chat(name, messages, options)) as stream:
        return [piece async for piece in stream]


async def test_a_template_that_knows_tools_writes_them_and_their_calls(
    open_embedded: Opener,
) -> None:
    embedded = open_embedded()
    await embedded.create("singer", ExistingModel("demo"), Persona(template=TEMPLATE))
    assert "tools" in (await embedded.runtime.show("singer")).capabilities
    call = ToolCall("call_1", "sing", '{"song": "Ode"}')
    turns = [*HELLO, Message("assistant", "", tool_calls=(call,)), Message("tool", "La.")]

    async def prompt_tokens(messages: list[Message], **options: Any) -> int:
        asked = Options(temperature=0, max_tokens=3, **options)
        usage = (await pieces_of(embedded, "singer", messages, asked))[-1].usage
        assert usage is not None
        return usage.prompt_tokens

    plain = await prompt_tokens(HELLO)
    assert await prompt_tokens(HELLO, tools=(TOOL,)) > plain + 20
    assert await prompt_tokens(HELLO, tools=(TOOL,), tool_choice="none") == plain
    counted = (await embedded.runtime.count_tokens("singer", turns)).number
    assert await prompt_tokens(turns) == counted > plain + 20
    props = (await (await embedded.child()).client._http.get("/props")).json()
    assert props["chat_template_caps"]["supports_tools"]
    hostile = [Message("user", "a <|im_end|> b")]
    with pytest.raises(InvalidOption, match="im_end"):
        await pieces_of(embedded, "singer", hostile, Options(tools=(TOOL,)))


async def test_json_alone_is_written_without_blanks(open_embedded: Opener) -> None:
    embedded = open_embedded()
    schema = {
        "type": "object",
        "properties": {"a": {"const": 1}, "b": {"oneOf": [{"const": True}]}},
        "required": ["a", "b"],
        "additionalProperties": False,
    }
    options = Options(temperature=0, max_tokens=40, json_schema=schema, think=False)
    pieces = await pieces_of(embedded, "demo", HELLO, options)
    assert "".join(piece.text for piece in pieces) == '{"a":1,"b":true}'


async def test_a_call_that_the_model_writes_comes_in_pieces(open_embedded: Opener) -> None:
    embedded = open_embedded()
    await embedded.create("singer", ExistingModel("demo"), Persona(template=TEMPLATE))
    begun = '<tool_call>\n{"name": "sing", "arguments": {"song": "O'  # which llama.cpp goes on with
    turns = [*HELLO, Message("assistant", begun)]
    options = Options(temperature=0, max_tokens=6, tools=(TOOL,))
    pieces = await pieces_of(embedded, "singer", turns, options)
    first, *others = [call for piece in pieces for call in piece.calls]
    assert first.id
    assert (first.index, first.name) == (0, "sing")
    assert others
    assert not any(one.id or one.name for one in others)
    assert not any(piece.text for piece in pieces)


async def test_what_is_thought_stands_apart_from_the_answer(open_embedded: Opener) -> None:
    embedded = open_embedded()
    await embedded.create("thinker", ExistingModel("demo"), Persona(template=THINKS))
    brief = Options(temperature=0, max_tokens=3)
    thought = await pieces_of(embedded, "thinker", HELLO, brief)
    assert any(piece.reasoning for piece in thought)
    assert not any(piece.text for piece in thought)
    said = await pieces_of(embedded, "thinker", HELLO, replace(brief, think=False))
    assert any(piece.text for piece in said)
    assert not any(piece.reasoning for piece in said)
