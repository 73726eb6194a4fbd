"""Chat through the GGUF's own Jinja template: llama.cpp renders it and reads what the model says."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from tests.ollama_double import options as wanted
from tests.ollama_double.asked import Asked
from tests.ollama_double.fitting import fit_messages
from tests.ollama_double.pieces import Piece, counts, probabilities
from tests.ollama_double.runner import Runner
from tests.ollama_double.wire import Failure, JSONObject


async def chat(
    runner: Runner, asked: Asked, messages: list[JSONObject]
) -> AsyncGenerator[Piece, None]:
    """The pieces of an answer."""

    async def count(some: list[JSONObject]) -> int:
        return len(await runner.tokenize(await runner.apply_template(chat_body(asked, some))))

    if asked.truncates and len(messages) > 1:
        messages = await fit_messages(messages, asked.options["num_ctx"], count)
    calls: dict[int, JSONObject] = {}
    body = chat_body(asked, messages)
    async with aclosing(runner.events("/v1/chat/completions", body)) as events:
        async for event in events:
            if "error" in event:
                told = " ".join(f"{k}:{event['error'][k]}" for k in sorted(event["error"]))
                raise Failure(500, f"llama-server chat error: map[{told}]")
            for choice in event.get("choices", ())[:1]:
                piece = _piece(choice, event.get("timings"), calls, with_top=asked.has_top)
                if piece.says_anything:
                    yield piece


def chat_body(asked: Asked, messages: list[JSONObject]) -> JSONObject:
    """A conversation as llama.cpp takes it; `json` as format is not enforced here."""
    body = {**wanted.for_llama(asked.options), "messages": [_turn(each) for each in messages]}
    form = wanted.check_format(asked.body.get("format"))
    if isinstance(form, dict):
        schema = {"name": "schema", "schema": form}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if asked.tools:
        body["tools"] = asked.tools
    if asked.body.get("logprobs"):
        body |= {"logprobs": True, "top_logprobs": max(asked.body.get("top_logprobs") or 0, 1)}
    if asked.think is not None:
        body["chat_template_kwargs"] = {"enable_thinking": asked.think}
    return body


def _turn(message: JSONObject) -> JSONObject:
    turn = {"role": message["role"], "content": message["content"]}
    if message.get("images"):
        turn["content"] = [
            {"type": "text", "text": message["content"]},
            *(_picture(image) for image in message["images"]),
        ]
    if message.get("tool_calls"):
        turn["tool_calls"] = [_call(call) for call in message["tool_calls"]]
    if message.get("tool_name"):
        turn["name"] = message["tool_name"]
    return turn


def _picture(image: str) -> JSONObject:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}}


def _call(call: JSONObject) -> JSONObject:
    function = call["function"]
    arguments = json.dumps(function.get("arguments", {}))
    called = {"name": function["name"], "arguments": arguments}
    return {"type": "function", "id": call.get("id", ""), "function": called}


def _piece(
    choice: JSONObject, timings: Any, calls: dict[int, JSONObject], *, with_top: bool
) -> Piece:
    """What a choice adds; `calls` collects what comes of calls until the end."""
    delta = choice["delta"]
    for part in delta.get("tool_calls") or ():
        call = calls.setdefault(part["index"], {"name": "", "arguments": ""})
        for key in call:
            call[key] += part.get("function", {}).get(key) or ""
    piece = Piece(
        delta.get("content") or "",
        delta.get("reasoning_content") or "",
        probabilities=probabilities(
            (choice.get("logprobs") or {}).get("content"), with_top=with_top
        ),
    )
    if choice["finish_reason"] is None:
        return piece
    made = [
        {"function": {"name": call["name"], "arguments": json.loads(call["arguments"] or "{}")}}
        for call in calls.values()
    ]
    told = counts(timings, is_cut=choice["finish_reason"] == "length")
    return Piece(piece.text, piece.thinking, made, piece.probabilities, told)
