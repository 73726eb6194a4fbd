"""Tools and schemas apart from a model: what is sound, what a template shows, what a back end's pieces come to."""

import json
import time
from dataclasses import replace
from typing import Any

import pytest

from api.errors import BackEndFailed, InvalidOption
from api.runtime import CallPiece, Message, Options, ToolCall
from api.runtime.forced_calls import CallReader, call_schema
from api.runtime.llama_cpp.chat import require_literal
from api.runtime.llama_cpp.chunks import read_chunk
from api.runtime.options import check_options
from api.runtime.schemas import check_schema, require_held, violation
from api.runtime.tools import Calls, check_tools, in_plain_words, shows_tools
from tests.runtime.scripted_ollama import lines, runtime_over, scripted_ollama

TREE: dict[str, Any] = {
    "type": "object",
    "properties": {"value": {"type": "integer"}, "child": {"$ref": "#"}},
    "required": ["value"],
    "additionalProperties": False,
}


def tool(name: str, parameters: Any = None) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def test_the_schema_of_a_call_leads_each_reference_to_its_own_tool() -> None:
    names = {"$defs": {"X": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/X"}}}
    words = {"$defs": {"X": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/X"}}}
    schema = call_schema([tool("grow", TREE), tool("one", names), tool("two", words)])
    for name, arguments, holds in (
        ("grow", {"value": 1, "child": {"value": 2}}, True),
        ("grow", {"value": 1, "child": {"value": "2"}}, False),
        ("one", {"a": 1}, True),
        ("one", {"a": "1"}, False),
        ("one", {"a": 1, "b": 2}, False),
        ("two", {"a": "1"}, True),
        ("three", {}, False),
    ):
        assert (violation(schema, {"name": name, "arguments": arguments}) is None) is holds


def test_a_member_may_be_called_like_a_word_of_schemas() -> None:
    schema = {"type": "object", "properties": {"pattern": {"type": "integer"}}}
    check_schema(schema, "s", "s")
    assert violation(schema, {"pattern": "x"})
    named = {"patternProperties": {"enum": {"$ref": "#/$defs/one"}}, "$defs": {"one": {"const": 1}}}
    assert violation(named, {"enum": 2})


def test_what_python_alone_reads_is_no_answer() -> None:
    with pytest.raises(BackEndFailed, match="NaN is no number of JSON"):
        require_held({"type": "array"}, "[NaN]")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "banana"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "#/$defs/missing"},
        {"properties": 3},
        [],
        {"enum": [float("nan")]},
        {"description": "x" * 40_000},
    ],
)
def test_a_schema_that_is_none_is_refused(schema: Any) -> None:
    with pytest.raises(InvalidOption, match="it: ") as refusal:
        check_schema(schema, "it", "place")
    assert refusal.value.extra["where"] == "place"


def test_a_schema_without_an_end_of_depth_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(3000):
        deep = {"not": deep}
    with pytest.raises(InvalidOption):
        check_schema(deep, "it", "place")


def test_a_tool_is_a_function_with_a_name_of_its_own() -> None:
    check_tools(Options(tools=(tool("a"), tool("b", TREE)), tool_choice="b"))
    for tools in ((tool("a b"),), (tool("required"),), (tool("a"), tool("a")), (tool("a", 3),)):
        with pytest.raises(InvalidOption):
            check_tools(Options(tools=tools))


def test_many_tools_are_checked_in_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patterns of each may take a second to read, and there may be 128 of them."""
    monkeypatch.setattr("api.runtime.tools.MAX_SECONDS", 0.01)
    slow = {"properties": {f"p{n}": {"pattern": f"[^<>]{{{3000 + n}}}"} for n in range(10)}}
    with pytest.raises(InvalidOption, match=r"tools\[0\]: the schemas .* too long"):
        check_tools(Options(tools=(tool("a", slow), tool("b")), tool_choice="required"))


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_a_call_is_read_however_its_text_is_cut(step: int) -> None:
    arguments = '{"a": "}\\"{", "b": [1, {"c": 2}]}'
    text = f' {{"name" :"f", "arguments": {arguments} }} '
    reader = CallReader()
    pieces = [p for n in range(0, len(text), step) for p in reader.read(text[n : n + step])]
    assert "".join(piece.arguments for piece in pieces) == reader.arguments == arguments
    assert [piece.name for piece in pieces if piece.name] == ["f"]
    assert [bool(piece.id) for piece in pieces] == [True] + [False] * (len(pieces) - 1)
    assert reader.is_whole


def test_calls_of_a_back_end_say_id_and_name_once() -> None:
    calls = Calls()
    told = [CallPiece(0, "x", "f", ""), CallPiece(0, "x", "f", "{}"), CallPiece(1, "", "g", "{}")]
    first, second, third = calls.read(told)
    assert (first.id, first.name) == ("x", "f")
    assert second == CallPiece(0, arguments="{}")
    assert third.id
    assert third.index == 1
    assert len(Calls(1).read(told)) == 2


def test_a_template_shows_tools_when_one_of_its_tags_names_them() -> None:
    assert shows_tools("{%- if tools %}{{ tools | tojson }}{% endif %}")
    assert not shows_tools("Here are tools. {{ messages }} {# tools #}")
    assert not shows_tools("{%" * 100_000)


def test_calls_become_words_for_a_template_without_tools() -> None:
    call = ToolCall("c", "f", '{"a": 1}')
    said = in_plain_words(
        [Message("assistant", "", tool_calls=(call,)), Message("tool", "2", tool_call_id="c")]
    )
    assert json.loads(said[0].content) == {"name": "f", "arguments": {"a": 1}}
    assert said[1] == Message("user", "Result of f:\n2")
    with pytest.raises(InvalidOption):
        in_plain_words([Message("assistant", "", tool_calls=(ToolCall("c", "f", "[1"),))])


def test_a_control_token_that_cannot_be_text_is_refused() -> None:
    hostile = [Message("tool", "<|end|>", tool_call_id="c")]
    require_literal(hostile, (), frozenset({"<|end|>"}))
    with pytest.raises(InvalidOption) as refusal:
        require_literal(hostile, (tool("a"),), frozenset({"<|end|>"}))
    assert refusal.value.extra["where"] == "messages"


def test_llama_cpp_tells_calls_and_thoughts_in_deltas() -> None:
    function = {"name": "f", "arguments": "{"}
    told = [{"index": 0, "id": "a", "type": "function", "function": function}]
    delta = {"content": None, "reasoning_content": "Hm", "tool_calls": told}
    chunk = {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    said = read_chunk(chunk, 0).said
    assert said.calls == (CallPiece(0, "a", "f", "{"),)
    assert (said.text, said.reasoning) == ("", "Hm")


@pytest.mark.anyio
async def test_ollama_is_offered_tools_and_its_calls_and_thoughts_come_through() -> None:
    call = {"function": {"name": "f", "arguments": {"a": "\u00fc"}}}
    thought = {"message": {"content": "", "thinking": "Hm"}, "done": False}
    called = {"message": {"content": "", "tool_calls": [call, call]}, "done": False}
    end = {"message": {"content": ""}, "done": True, "done_reason": "stop", "eval_count": 2}
    async with scripted_ollama() as ollama:
        ollama.shown["chatty"]["capabilities"] = ["completion", "thinking", "tools"]
        ollama.script("/api/chat", lines(thought, called, called, end))
        runtime = runtime_over(ollama.url)
        turns = [
            Message("assistant", "", tool_calls=(ToolCall("c", "f", '{"a": 1}'),)),
            Message("tool", "2", tool_call_id="c"),
        ]
        options = Options(tools=(tool("f"),), max_tokens=9, think=True)
        several = [piece async for piece in runtime.chat("chatty", turns, options)]
        options = replace(options, parallel_tool_calls=False)
        pieces = [piece async for piece in runtime.chat("chatty", turns, options)]
        await runtime.close()
    assert [call.index for piece in several for call in piece.calls] == [0, 1, 2, 3]
    sent = ollama.sent("/api/chat")[0]
    assert (sent["tools"], sent["think"]) == ([tool("f")], True)
    assert sent["messages"][0]["tool_calls"][0]["function"] == {"name": "f", "arguments": {"a": 1}}
    assert sent["messages"][1]["tool_name"] == "f"
    (piece,) = [call for piece in pieces for call in piece.calls]
    assert piece.id
    assert json.loads(piece.arguments) == {"a": "\u00fc"}
    assert "".join(piece.reasoning for piece in pieces) == "Hm"
    usage = pieces[-1].usage
    assert usage is not None
    assert usage.finish_reason == "tool_calls"


def doubling(levels: int) -> dict[str, Any]:
    """A schema that each level asks twice."""
    twice = {f"d{n}": {"oneOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)}
    return {"$defs": {**twice, f"d{levels}": {}}, "properties": {"a": {"$ref": "#/$defs/d0"}}}


def test_a_schema_that_leads_on_for_ever_is_refused_and_given_up() -> None:
    check_schema(doubling(5), "it", "place")
    check_schema(TREE, "it", "place")
    for schema in (doubling(30), {"$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}}):
        with pytest.raises(InvalidOption, match="too many others, or to itself"):
            check_schema(schema, "it", "place")
    assert "too many steps" in (violation(doubling(30), {"a": 1}) or "")


def test_long_lists_are_held_to_schemas_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    many = {"type": "array", "items": {"enum": [*range(5000)]}}
    began = time.thread_time()
    with monkeypatch.context() as patch:
        patch.setattr("api.runtime.schemas.MAX_SECONDS", 0.05)
        assert "too many steps" in (violation(many, [-1] * 5000) or "")
    assert violation({"uniqueItems": True}, [{"a": n} for n in range(3000)]) is None
    draft_4 = {"$schema": "http://json-schema.org/draft-04/schema#"}
    check_schema({**draft_4, "enum": [{"a": n} for n in range(2500)]}, "it", "place")
    assert time.thread_time() - began < 5


@pytest.mark.parametrize(
    ("items", "is_unique"),
    [
        ([1, 1.0], False),
        ([1, True], True),
        ([[1.0], [1]], False),
        ([1, "1", None, "null"], True),
        ([{"a": 1, "b": 2}, {"b": 2.0, "a": 1}], False),
    ],
)
def test_items_are_the_same_where_their_values_are(items: list[Any], is_unique: bool) -> None:
    assert (violation({"uniqueItems": True}, items) is None) == is_unique


@pytest.mark.parametrize("draft", [5, "http://[", "https://example.org/mine", None, ["x"]])
def test_a_schema_in_what_nobody_knows_is_refused(draft: Any) -> None:
    with pytest.raises(InvalidOption, match=r"it: \$schema is none of"):
        check_schema({"$schema": draft}, "it", "place")


def test_what_the_validator_cannot_do_is_a_fault_of_the_schema() -> None:
    for schema, value in (
        ({"multipleOf": 1e-300}, 10**400),
        ({"x": {"type": "banana"}, "properties": {"a": {"$ref": "#/x"}}}, {"a": 1}),
        ({"properties": {"a": {"$schema": "unknown", "type": "string"}}}, {"a": 1}),
    ):
        check_schema(schema, "it", "place")
        assert violation(schema, value)
    with pytest.raises(InvalidOption, match="leads to nothing"):
        check_schema({"$ref": "#foo"}, "it", "place")


def test_tools_may_be_long_together_and_written_in_an_older_draft() -> None:
    pair = {"type": "array", "items": [{"type": "string"}, {"type": "integer"}]}
    parameters = {"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"p": pair}}
    parameters["description"] = "x" * 1000
    tools = tuple(tool(f"t{number}", parameters) for number in range(40))
    schema = call_schema(tools)
    check_options(Options(tools=tools, tool_choice="required", json_schema=schema), 4096)
    assert violation(schema, {"name": "t1", "arguments": {"p": ["a", 1]}}) is None
    assert violation(schema, {"name": "t1", "arguments": {"p": [1, "a"]}})
