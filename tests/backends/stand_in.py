"""A server that stands in for providers: below `/NAME/v1` it refuses what that one refuses, and answers else.

What goes wrong is named by the model: `busy` is too busy twice, `away` always fails, `redirecting`, `silent`,
`stalling`, `broken` (no end), `cut` (no bytes more), `untold` (no usage), `unknown`, `locked` (the key), `long`.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

KEY = "sk-of-the-stand-in"
Body = Mapping[str, Any]


class StandIn:
    """What it was sent, and how it behaves."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Body, Mapping[str, str]]] = []
        self.open = 0
        self._tries: Counter[str] = Counter()
        self.app = Starlette(
            routes=[
                Route("/{provider}/v1/models", self.models),
                Route("/{provider}/v1/chat/completions", self.chat, methods=["POST"]),
                Route("/{provider}/v1/completions", self.chat, methods=["POST"]),
                Route("/{provider}/v1/embeddings", self.embed, methods=["POST"]),
                Route("/vllm/tokenize", self.tokenize, methods=["POST"]),
            ]
        )

    async def models(self, request: Request) -> Response:
        """A model, with a context as vLLM tells it, and an adapter on it."""
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return _no(401, f"Incorrect API key provided: {request.headers.get('authorization')}")
        tuned = {"id": "tuned", "max_model_len": None, "parent": "big"}
        return JSONResponse({"data": [{"id": "big", "max_model_len": 4096, "parent": None}, tuned]})

    async def embed(self, request: Request) -> Response:
        """Vectors of two numbers, in another order than they were asked for."""
        body = await request.json()
        provider = request.path_params["provider"]
        self.sent.append((provider, body, dict(request.headers)))
        if len(body["input"]) > TEXTS_AT_ONCE.get(provider, 2048):
            return _no(400, "batch size is invalid")
        rows = [{"index": n, "embedding": [3.0, 4.0 * (n + 1)]} for n in range(len(body["input"]))]
        return JSONResponse({"data": rows[::-1]})

    async def tokenize(self, request: Request) -> Response:
        """As vLLM does: a token a character, and one that begins a prompt; the template of `deaf` shows no tools."""
        body = await request.json()
        said = "".join(turn["content"] for turn in body.get("messages", ()))
        if body["model"] != "deaf":
            said += json.dumps(body.get("tools", ""))[1:-1]
        ids = [ord(letter) for letter in body.get("prompt", said)]
        if body.get("add_special_tokens", True):
            ids = [1, *ids]
        return JSONResponse({"count": len(ids), "tokens": ids, "max_model_len": 4096})

    async def chat(self, request: Request) -> Response:
        """A streamed answer, or a refusal."""
        body = await request.json()
        provider, model = request.path_params["provider"], body["model"]
        self.sent.append((provider, body, dict(request.headers)))
        refuses = REFUSES.get(provider)
        if refuses and (refused := refuses(body)):
            return _no(400, refused)
        self._tries[model] += 1
        if model == "busy" and self._tries[model] % 3:
            return _no(429, "Too busy.", {"Retry-After": "1"})
        if model == "resting":
            return _no(429, "Tomorrow.", {"Retry-After": "86400"})
        if model == "away":
            return _no(500, "It fell over.")
        if model == "redirecting":
            return Response(status_code=307, headers={"Location": "http://169.254.169.254/latest"})
        if model == "unknown":
            return _no(404, "The model `unknown` does not exist.")
        if model == "locked":
            return _no(401, f"Incorrect API key provided: {KEY}.")
        if model == "long":
            return _no(
                400,
                "This model's maximum context length is 2048 tokens. However, your messages resulted in 3000 tokens.",
                code="context_length_exceeded",
            )
        if model == "silent":
            await asyncio.sleep(1)
        return StreamingResponse(self._chunks(body), media_type="text/event-stream")

    async def _chunks(self, body: Body) -> AsyncIterator[bytes]:
        model = body["model"]
        self.open += 1
        try:
            yield b": a comment\n\n"
            for delta in CALLING if model == "calling" else ():
                yield _event({"choices": [{"index": 0, "delta": delta}]})
            for word in () if model == "calling" else ANSWERS.get(model, ("Hello", " there")):
                yield _event({"choices": [{"index": 0, "delta": {"content": word}}]})
            if model == "stalling":
                await asyncio.sleep(1)
            if model == "cut":
                raise ConnectionResetError
            if model == "failing":
                yield _event({"error": {"message": "The engine fell over.", "code": 500}})
            if model != "broken":
                yield _event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
            if model != "untold" and "stream_options" in body:
                usage = {"prompt_tokens": 7, "completion_tokens": 2}
                yield _event({"choices": [], "usage": usage})
            yield b"data: [DONE]\n\n"
        finally:
            self.open -= 1


CALLING: tuple[Body, ...] = (
    {"reasoning_content": "The weather, then."},
    {"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "weather", "arguments": ""}}]},
    {"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]},
    {"tool_calls": [{"index": 0, "function": {"arguments": ' "Rome"}'}}]},
)
ANSWERS = {
    "json": ('{"city":', ' "Rome"}'),
    "half": ("Hello \ud83d", "\ude00!"),
}
"""Words of each model; the halves of a character come one by one, as from servers that cut anywhere."""
TEXTS_AT_ONCE = {"qwen": 10, "qianfan": 16, "baichuan": 16, "mistral": 16}


def _event(chunk: Body) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _no(
    status: int, message: str, headers: Mapping[str, str] | None = None, code: str = ""
) -> Response:
    error = {"message": message, "code": code or status}
    return JSONResponse({"error": error}, status, dict(headers or {}))


def _unknown(*names: str) -> Callable[[Body], str]:
    def refused(body: Body) -> str:
        return next((f"Unsupported parameter: {name}" for name in names if name in body), "")

    return refused


def _strict(*names: str, stops: int = 4) -> Callable[[Body], str]:
    """Without these, and so many stops at most."""
    unknown = _unknown(*names)

    def refused(body: Body) -> str:
        too_many = len(body.get("stop", ())) > stops
        return unknown(body) or (f"stop: at most {stops}" if too_many else "")

    return refused


def _outside(body: Body, name: str, least: float, most: float) -> str:
    """Bounds that are themselves refused."""
    is_sound = name not in body or least < body[name] < most
    return "" if is_sound else f"{name} must be between {least} and {most}"


def _zhipu(body: Body) -> str:
    if body.get("response_format", {}).get("type") not in (None, "json_object"):
        return "response_format.type: json_object only"
    return _unknown("stream_options", "tool_choice")(body) or _outside(body, "temperature", 0, 1)


def _openai_reasoning(body: Body) -> str:
    names = ("max_tokens", "temperature", "top_p", "frequency_penalty", "presence_penalty")
    return _unknown(*names, "logprobs", "top_logprobs", "logit_bias", "stop")(body)


def _minimax(body: Body) -> str:
    if not body.get("reasoning_split"):
        return "(the answer would hold <think>)"
    return _unknown("max_tokens")(body) or _outside(body, "temperature", 0, 1.0000001)


def _moonshot(body: Body) -> str:
    return _outside(body, "temperature", -0.0000001, 1.0000001)


def _deepseek(body: Body) -> str:
    if body.get("response_format", {}).get("type") == "json_schema":
        return "response_format: json_object only"
    return _unknown(*BEYOND)(body)


BEYOND = ("top_k", "min_p", "repeat_penalty", "repetition_penalty", "stop_token_ids")
"""What OpenAI's wire does not have."""
_STRICT = _strict(*BEYOND)
_AS_VLLM = _unknown("repeat_penalty")


def _both(*refuses: Callable[[Body], str]) -> Callable[[Body], str]:
    return lambda body: next(filter(None, (one(body) for one in refuses)), "")


REFUSES: Mapping[str, Callable[[Body], str]] = {
    "openai": _strict("max_tokens", *BEYOND),
    "openai-reasoning": _both(_openai_reasoning, _unknown(*BEYOND)),
    "azure": _strict("max_tokens", *BEYOND),
    **dict.fromkeys(("zhipu", "zai"), _both(_zhipu, _strict(*BEYOND, stops=1))),
    "minimax": _both(_minimax, _STRICT),
    "moonshot": _both(_moonshot, _strict(*BEYOND, stops=5)),
    "deepseek": _deepseek,
    **dict.fromkeys(("vllm", "sglang"), _AS_VLLM),
    "openrouter": _strict("repeat_penalty", "stop_token_ids"),
    "together": _both(_AS_VLLM, _unknown("stop_token_ids")),
    **dict.fromkeys(("tgi", "qianfan", "sparkdesk", "sparkdesk-x1", "mistral", "groq"), _STRICT),
    "qwen": _strict("min_p", "repeat_penalty", "repetition_penalty", "stop_token_ids"),
    "baichuan": _unknown("min_p", "repeat_penalty", "repetition_penalty", "stop_token_ids"),
    **dict.fromkeys(("generic", "llama.cpp", "lmstudio"), _unknown("stop_token_ids")),
}
"""Of each row what its server says no to; a row without a server of its own takes what most take."""
