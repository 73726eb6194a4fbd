"""A conversation and its checked options in OpenAI's words, as a dialect has them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from api.errors import InvalidOption
from api.runtime import Message, Options
from api.runtime.images import parts
from api.runtime.openai_style.dialect import BEYOND, Dialect
from api.runtime.options import SAMPLING
from api.runtime.tools import Tool, as_openai


def chat_body(
    dialect: Dialect, turns: Sequence[Message], options: Options, tools: Sequence[Tool]
) -> dict[str, Any]:
    """What `/chat/completions` is sent, without the model and the length of the answer."""
    schema = options.json_schema
    if schema is not None and dialect.schema != "json_schema":
        turns = _told(turns, schema)
    body = {
        **turns_body(turns),
        **sampling(dialect, options),
        "response_format": None if schema is None else _response_format(dialect, schema),
        "tools": list(tools) or None,
        "parallel_tool_calls": options.parallel_tool_calls if tools else None,
    }
    if options.logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": options.logprobs or None}
    if dialect.counts and options.think is not None:  # these servers render the template
        body["chat_template_kwargs"] = {"enable_thinking": options.think}
    if dialect.usage_in_stream:
        body["stream_options"] = {"include_usage": True}
    return _in_dialect(dialect, {**body, **dialect.add, **(options.extra or {})})


def turns_body(turns: Sequence[Message]) -> dict[str, Any]:
    """The conversation alone, for who counts it."""
    return {"messages": [_turn(turn) for turn in turns]}


def completion_body(
    dialect: Dialect, prompt: str | Sequence[int], options: Options
) -> dict[str, Any]:
    """The same for `/completions`; the prompt as text, or as its tokens."""
    if options.json_schema is not None and dialect.counts != "llama.cpp":
        raise InvalidOption(
            "response_format: this model's server goes on with a text without a schema. Send it as a conversation.",
            where="response_format",
        )
    body: dict[str, Any] = {
        "prompt": prompt if isinstance(prompt, str) else list(prompt),
        **sampling(dialect, options),
        "json_schema": options.json_schema,
        "logprobs": options.logprobs,
    }
    if dialect.counts == "llama.cpp" and options.logprobs is not None:
        body["logprobs"] = max(options.logprobs, 1)
    if dialect.usage_in_stream:
        body["stream_options"] = {"include_usage": True}
    return _in_dialect(dialect, {**body, **(options.extra or {})})


def with_length(dialect: Dialect, body: Mapping[str, Any], max_tokens: int) -> dict[str, Any]:
    """A body with the most tokens that its answer may have."""
    return {**body, dialect.rename.get("max_tokens", "max_tokens"): max_tokens}


def sampling(dialect: Dialect, options: Options) -> dict[str, Any]:
    """How the next token is chosen; `errors.InvalidOption` for what the server does not take."""
    chosen: dict[str, Any] = {name: getattr(options, name) for name in SAMPLING}
    chosen["stop_token_ids"] = list(options.stop_token_ids or ()) or None
    if beyond := [name for name in BEYOND - dialect.takes if chosen[name] is not None]:
        raise InvalidOption(
            f"{beyond[0]}: this model's server does not take it. Leave it out.", where=beyond[0]
        )
    if len(options.stop or ()) > dialect.stops:
        raise InvalidOption(
            f"stop: this model's server takes at most {dialect.stops}.", where="stop"
        )
    bias = {str(token): value for token, value in (options.logit_bias or {}).items()}
    return {**chosen, "stop": list(options.stop or ()) or None, "logit_bias": bias or None}


def _in_dialect(dialect: Dialect, body: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is unset or dropped, within the bounds, under the names of the server."""
    said: dict[str, Any] = {}
    for name, value in body.items():
        if value is None or name in dialect.drop:
            continue
        if name in dialect.clamp:
            least, most = dialect.clamp[name]
            value = min(max(value, least), most)
        said[dialect.rename.get(name, name)] = value
    return said


def _response_format(dialect: Dialect, schema: Mapping[str, Any]) -> dict[str, Any] | None:
    if dialect.schema == "json_schema":
        return {"type": "json_schema", "json_schema": {"name": "answer", "schema": dict(schema)}}
    return {"type": "json_object"} if dialect.schema == "json_object" else None


def _told(turns: Sequence[Message], schema: Mapping[str, Any]) -> list[Message]:
    """The conversation, whose system turn goes on with the schema."""
    said = [turn.content for turn in turns if turn.role == "system"]
    task = "Answer with JSON and nothing else. It must hold this JSON Schema:\n" + json.dumps(
        schema, ensure_ascii=False
    )
    others = [turn for turn in turns if turn.role != "system"]
    return [Message("system", "\n\n".join([*said, task])), *others]


def _turn(message: Message) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.images:
        turn["content"] = parts(message)
    if message.tool_calls:
        turn["tool_calls"] = [as_openai(call) for call in message.tool_calls]
        turn["content"] = message.content or None
    if message.role == "tool":
        turn["tool_call_id"] = message.tool_call_id
    return turn
