"""`/api/chat` and `/api/generate`: from a request to the lines of an answer."""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from tests.ollama_double import native_chat, prompts
from tests.ollama_double import options as wanted
from tests.ollama_double.asked import Asked, check_images, check_values, require
from tests.ollama_double.completion import completed
from tests.ollama_double.engine import Engine
from tests.ollama_double.fitting import fit_messages
from tests.ollama_double.manifests import Model
from tests.ollama_double.pieces import Piece
from tests.ollama_double.runner import Runner
from tests.ollama_double.wire import Failure, JSONObject, Lines, now

Shape = Callable[[str, str], JSONObject]


class Generator:
    """Answers. `find` gives the model of a name, or None."""

    def __init__(
        self, find: Callable[[str], Model | None], engine: Engine, context: int, threads: int
    ) -> None:
        self._find = find
        self._engine = engine
        self._context = context
        self._threads = threads

    async def chat(self, body: JSONObject) -> Lines | JSONObject:
        """Lines of an answer, or one object when nothing is asked."""
        check_values(body)
        asked = self._asked(body, missing=Failure(400, "model is required"))
        messages = body.get("messages") or []
        if done := await self._loads_only(asked, not messages, "chat", _as_message):
            return done
        check_images(each for message in messages for each in message.get("images") or ())
        if body.get("tools") and asked.model.is_rendered_here:
            require(asked.model, "tools")
        turns = _with_persona(asked.model, messages)
        return self._lines(asked, _as_message, lambda runner: _chat(runner, asked, turns))

    async def generate(self, body: JSONObject) -> Lines | JSONObject:
        """Lines of an answer, or one object when nothing is asked."""
        check_values(body)
        asked = self._asked(body, missing=Failure(404, "model '' not found"))
        if body.get("raw") and (body.get("template") or body.get("system") or body.get("context")):
            raise Failure(400, "raw mode does not support template, system, or context")
        if body.get("suffix"):
            require(asked.model, "insert")
        if done := await self._loads_only(asked, not body.get("prompt"), "generate", _as_response):
            return done
        check_images(body.get("images") or ())
        return self._lines(asked, _as_response, lambda runner: _complete(runner, asked))

    def _asked(self, body: JSONObject, missing: Failure) -> Asked:
        if not body.get("model"):
            raise missing
        name = body["model"]
        model = self._find(name)
        if model is None:
            raise Failure(404, f"model '{name}' not found")
        keep_seconds = wanted.seconds(body.get("keep_alive"))
        return Asked(body, model, {}, keep_seconds, time.monotonic())

    async def _loads_only(
        self, asked: Asked, nothing: bool, verb: str, shape: Shape
    ) -> JSONObject | None:
        """The answer to a request without a question, which loads or unloads."""
        model, name = asked.model, asked.body["model"]
        answer = {"model": name, "created_at": now(), **shape("", ""), "done": True}
        if nothing and asked.keep_seconds == 0:
            self._engine.unload(model)
            return answer | {"done_reason": "unload"}
        if "thinking" not in model.capabilities and asked.body.get("think"):
            raise Failure(400, f'"{name}" does not support thinking')
        if "completion" not in model.capabilities:
            raise Failure(400, f'"{name}" does not support {verb}')
        asked.options = wanted.merged(model, asked.body.get("options"), self._context)
        if not nothing:
            return None
        async with self._engine.use(model, asked.launch(self._threads), asked.keep_seconds):
            return answer | {"created_at": now(), "done_reason": "load"}

    async def _lines(
        self, asked: Asked, shape: Shape, pieces: Callable[[Runner], AsyncGenerator[Piece, None]]
    ) -> Lines:
        launch = asked.launch(self._threads)
        async with self._engine.use(asked.model, launch, asked.keep_seconds) as runner:
            loaded = time.monotonic()
            async with runner.turn, aclosing(pieces(runner)) as stream:
                async for piece in stream:
                    line = {
                        "model": asked.body["model"],
                        "created_at": now(),
                        **shape(piece.text, piece.thinking),
                    }
                    if piece.calls:
                        line["message"]["tool_calls"] = piece.calls
                    if piece.probabilities:
                        line["logprobs"] = piece.probabilities
                    if piece.counts is None:
                        yield line | {"done": False}
                        continue
                    spent = {
                        "total_duration": int((time.monotonic() - asked.began) * 1e9),
                        "load_duration": int((loaded - asked.began) * 1e9),
                    }
                    yield line | {"done": True} | spent | piece.counts


async def whole(lines: Lines) -> JSONObject:
    """An answer that is not streamed: the last line with all the text. It may say that it is not done."""
    last: JSONObject = {"model": "", "created_at": "0001-01-01T00:00:00Z", "done": False}
    texts: dict[str, str] = {"content": "", "thinking": "", "response": ""}
    calls: list[JSONObject] = []
    probabilities: list[JSONObject] = []
    async with aclosing(lines):
        async for line in lines:
            last = line
            holder = line.get("message", line)
            for key in texts:
                texts[key] += holder.get(key, "")
            calls += holder.get("tool_calls", ())
            probabilities += line.get("logprobs", ())
    holder = last.get("message", last)
    holder |= {key: text for key, text in texts.items() if text or key in holder}
    if calls:
        holder["tool_calls"] = calls
    return last | ({"logprobs": probabilities} if probabilities else {})


def _as_message(text: str, thinking: str) -> JSONObject:
    said = {"role": "assistant", "content": text}
    return {"message": said | {"thinking": thinking} if thinking else said}


def _as_response(text: str, thinking: str) -> JSONObject:
    said = {"response": text}
    return said | {"thinking": thinking} if thinking else said


def _with_persona(model: Model, messages: list[JSONObject]) -> list[JSONObject]:
    every = [{"role": "", "content": "", **each} for each in (*model.messages, *messages)]
    if model.system and messages[0]["role"] != "system":
        return [{"role": "system", "content": model.system}, *every]
    return every


def _chat(runner: Runner, asked: Asked, messages: list[JSONObject]) -> AsyncGenerator[Piece, None]:
    if asked.model.is_rendered_here:
        return _rendered_chat(runner, asked, messages)
    return native_chat.chat(runner, asked, messages)


async def _rendered_chat(
    runner: Runner, asked: Asked, messages: list[JSONObject]
) -> AsyncGenerator[Piece, None]:
    source = asked.model.template

    def rendered(some: list[JSONObject]) -> str:
        return prompts.render(source, some, asked.tools, asked.think)

    async def count(some: list[JSONObject]) -> int:
        return len(await runner.tokenize(rendered(some)))

    if asked.truncates:
        messages = await fit_messages(messages, asked.options["num_ctx"], count)
    has_images = any(message.get("images") for message in messages)
    pieces = completed(runner, asked, rendered(messages), has_images=has_images)
    async with aclosing(pieces):
        async for piece in pieces:
            yield piece


async def _complete(runner: Runner, asked: Asked) -> AsyncGenerator[Piece, None]:
    is_raw = bool(asked.body.get("raw"))
    prompt = asked.body["prompt"] if is_raw else await _rendered_prompt(runner, asked)
    said = ""
    pieces = completed(runner, asked, prompt, has_images=bool(asked.body.get("images")))
    async with aclosing(pieces):
        async for piece in pieces:
            said += piece.text
            if piece.counts is not None and not is_raw:
                piece.counts["context"] = await runner.tokenize(prompt + said)
            yield piece


async def _rendered_prompt(runner: Runner, asked: Asked) -> str:
    body, model = asked.body, asked.model
    system = body.get("system") or model.system
    turns = [{"role": "system", "content": system}] if system else []
    turns += [] if body.get("context") else model.messages
    turns.append({"role": "user", "content": body["prompt"]})
    if body.get("template") or model.is_rendered_here or not model.gguf.template:
        prompt = prompts.render(body.get("template") or model.template, turns, [], asked.think)
    else:
        prompt = await runner.apply_template(native_chat.chat_body(asked, turns))
    if not body.get("context"):
        return prompt
    before = await runner.call("/detokenize", {"tokens": body["context"]})
    return str(before["content"]) + prompt
