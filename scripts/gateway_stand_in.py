"""A model server of fixed speed for `bench_gateway.py` and `bench_places.py`, without any model.

It speaks Ollama's API and OpenAI's chat; `/most` tells how many answers it ever gave at once.
"""

import argparse
import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

TIME = "2026-01-01T00:00:00Z"
TAGS = [
    {"name": f"{name}:latest", "digest": name, "modified_at": TIME, "size": 1}
    for name in ("stand-in", "stand-in-embedder")
]


class StandIn:
    """Answers of so many tokens, with a pause after each."""

    def __init__(self, tokens: int, pause: float) -> None:
        self._tokens = tokens
        self._pause = pause
        self._open = self._most = 0

    async def said(self) -> AsyncIterator[str]:
        """One answer."""
        self._open += 1
        self._most = max(self._most, self._open)
        try:
            for _ in range(self._tokens):
                yield "word "
                if self._pause:
                    await asyncio.sleep(self._pause)
        finally:
            self._open -= 1

    async def most(self, _: Request) -> JSONResponse:
        """Answers at once, at most."""
        return JSONResponse({"most": self._most})

    async def native(self, request: Request) -> StreamingResponse:
        """As Ollama streams a chat."""
        model = (await request.json())["model"]

        async def lines() -> AsyncIterator[str]:
            async for word in self.said():
                message = {"role": "assistant", "content": word}
                yield _line({"model": model, "created_at": TIME, "message": message, "done": False})
            counts = {"prompt_eval_count": 8, "eval_count": self._tokens}
            message = {"role": "assistant", "content": ""}
            end = {"model": model, "created_at": TIME, "message": message, "done": True}
            yield _line({**end, "done_reason": "stop", **counts})

        return StreamingResponse(lines(), media_type="application/x-ndjson")

    async def openai(self, request: Request) -> StreamingResponse:
        """As OpenAI streams a chat."""
        model = (await request.json())["model"]
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": model}

        def chunk(delta: dict[str, str], reason: str | None) -> str:
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            return f"data: {json.dumps({**head, 'choices': [choice]})}\n\n"

        async def events() -> AsyncIterator[str]:
            yield chunk({"role": "assistant", "content": ""}, None)
            async for word in self.said():
                yield chunk({"content": word}, None)
            yield chunk({}, "stop")
            yield "data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")


async def show(request: Request) -> JSONResponse:
    """A model that chats, or one that embeds."""
    embeds = "embedder" in (await request.json())["model"]
    return JSONResponse(
        {
            "template": "" if embeds else "{{ .Prompt }}",
            "parameters": "",
            "details": {"family": "llama", "quantization_level": "Q4_0"},
            "model_info": {"general.architecture": "llama", "llama.context_length": 8192},
            "capabilities": ["embedding" if embeds else "completion"],
            "modelfile": "FROM /models/stand-in",
        }
    )


async def embed(request: Request) -> JSONResponse:
    """One vector a text."""
    texts = (await request.json())["input"]
    return JSONResponse({"embeddings": [[1.0, 0.0]] * len(texts), "prompt_eval_count": len(texts)})


def said(**value: Any) -> Any:
    """An endpoint that always answers the same."""

    async def answer(_: Request) -> JSONResponse:
        return JSONResponse(value)

    return answer


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value) + "\n"


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tokens", type=int, required=True)
    parser.add_argument("--pause", type=float, required=True, help="seconds after each token")
    asked = parser.parse_args()
    server = StandIn(asked.tokens, asked.pause)
    app = Starlette(
        routes=[
            Route("/api/version", said(version="0.33.0")),
            Route("/api/tags", said(models=TAGS)),
            Route("/api/ps", said(models=[])),
            Route("/api/show", show, methods=["POST"]),
            Route("/api/embed", embed, methods=["POST"]),
            Route("/api/chat", server.native, methods=["POST"]),
            Route("/most", server.most),
            Route("/v1/models", said(data=[{"id": "stand-in", "max_model_len": 8192}])),
            Route("/v1/chat/completions", server.openai, methods=["POST"]),
        ]
    )
    uvicorn.run(app, host="127.0.0.1", port=asked.port, log_level="critical", backlog=4096)


if __name__ == "__main__":
    main()
