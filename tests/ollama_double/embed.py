"""`/api/embed` and `/api/embeddings`: vectors of texts."""

import asyncio
import json
import math
import time
from collections.abc import Callable
from typing import Any

from tests.ollama_double import options as wanted
from tests.ollama_double.engine import Engine
from tests.ollama_double.manifests import Model
from tests.ollama_double.runner import Launch, Runner
from tests.ollama_double.wire import Failure, JSONObject

FIELDS = {
    "model": "string",
    "input": "any",
    "prompt": "string",
    "keep_alive": "any",
    "truncate": "bool",
    "dimensions": "int",
    "options": "map[string]interface {}",
}


class Embedder:
    """Makes vectors. `find` gives the model of a name, or None."""

    def __init__(
        self, find: Callable[[str], Model | None], engine: Engine, context: int, threads: int
    ) -> None:
        self._find = find
        self._engine = engine
        self._context = context
        self._threads = threads

    async def embed(self, body: JSONObject) -> JSONObject:
        """A normalised vector for each text, in order."""
        began = time.monotonic()
        texts = _texts(body.get("input"))
        model = self._model(body)
        options = wanted.merged(model, body.get("options"), self._context)
        launch = Launch(
            path=model.path,
            jinja=not model.is_rendered_here,
            embeds=model.gguf.embeds,
            context=options["num_ctx"],
            shifts=True,
            threads=options["num_thread"] or self._threads,
        )
        keep = wanted.seconds(body.get("keep_alive"))
        async with self._engine.use(model, launch, keep) as runner:
            loaded = time.monotonic()
            if not texts:
                return {"model": body["model"], "embeddings": []}
            cuts = body.get("truncate") is not False
            room = min(options["num_ctx"], model.gguf.context_length)
            made = await asyncio.gather(*(_vector(runner, text, room, cuts=cuts) for text in texts))
        size = body.get("dimensions") or 0
        return {
            "model": body["model"],
            "embeddings": [_normalised(vector[:size] if size else vector) for vector, _ in made],
            "total_duration": int((time.monotonic() - began) * 1e9),
            "load_duration": int((loaded - began) * 1e9),
            "prompt_eval_count": sum(tokens for _, tokens in made),
        }

    async def embeddings(self, body: JSONObject) -> JSONObject:
        """The older call: one vector, and every failure is a 500."""
        self._model(body)
        try:
            made = await self.embed({**body, "input": body.get("prompt") or ""})
        except Failure as failure:
            raise Failure(500, failure.text) from failure
        return {"embedding": next(iter(made["embeddings"]), [])}

    def _model(self, body: JSONObject) -> Model:
        name = body.get("model") or ""
        model = self._find(name)
        if model is None:
            raise Failure(404, f'model "{name}" not found, try pulling it first')
        return model


def _texts(value: Any) -> list[str]:
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return value
    raise Failure(400, "invalid input type")


async def _vector(runner: Runner, text: str, room: int, *, cuts: bool) -> tuple[list[float], int]:
    tokens = await runner.tokenize(text)
    if len(tokens) > room:
        if not cuts:
            raise Failure(400, "the input length exceeds the context length")
        inner = tokens[1 : room - 1]
        text = (await runner.call("/detokenize", {"tokens": inner}))["content"]
    async with runner.turn:
        try:
            answer = await runner.call("/v1/embeddings", {"input": text})
        except Failure as failure:
            told = _told(failure) if runner.is_running() else _gone(runner)
            raise told from failure
    return answer["data"][0]["embedding"], answer["usage"]["prompt_tokens"]


def _gone(runner: Runner) -> Failure:
    return Failure(400, f'do embedding request: Post "{runner.address}/v1/embeddings": EOF')


def _told(failure: Failure) -> Failure:
    try:
        return Failure(failure.status, json.loads(failure.text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return failure


def _normalised(vector: list[float]) -> list[float]:
    length = math.hypot(*vector) or 1.0
    return [value / length for value in vector]
