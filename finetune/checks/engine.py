"""One GGUF file in llama.cpp's server, in this process: the engine that serves it later."""

import json
import os
import secrets
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import xllamacpp

from finetune.checks.verdict import Refused
from finetune.data.rows import Conversation

REQUEST_SECONDS = 3600
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback needs no proxy


@dataclass(frozen=True, slots=True)
class Reply:
    """How a conversation was answered."""

    prompt_tokens: int
    text: str
    finish_reason: Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Written:
    """What came behind a prompt, and how many tokens that took."""

    text: str
    tokens: int


def _threads() -> int:
    """All cores but one, or what OMP_NUM_THREADS allows."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdigit() and int(asked) > 0 else max(1, (os.cpu_count() or 2) - 1)


class Engine:
    """A loaded GGUF; greedy and without a cache, so that the same question has the same answer."""

    def __init__(self, path: Path, context: int) -> None:
        self._name = path.name
        self._key = secrets.token_hex(16)
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(path)
        parameters.n_ctx = context
        parameters.n_parallel = 1
        parameters.warmup = False
        parameters.cache_ram_mib = 0
        parameters.verbosity = 1
        parameters.cpuparams.n_threads = _threads()
        parameters.api_keys = [self._key]
        try:
            self._server = xllamacpp.Server(parameters)
        except RuntimeError as error:
            raise Refused(
                "The GGUF does not load",
                f"llama.cpp refuses {path.name}; see log.txt for its words.",
            ) from error

    def _ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310  our own server on loopback
            self._server.listening_address + path,
            json.dumps(body).encode(),
            {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"},
        )
        try:
            with _DIRECT.open(request, timeout=REQUEST_SECONDS) as response:
                answer: dict[str, Any] = json.load(response)
        except OSError as error:
            said = error.read(2000).decode(errors="replace") if hasattr(error, "read") else ""
            raise Refused(
                "The GGUF does not answer", f"{self._name}, {path}: {error}. {said}"
            ) from error
        return answer

    def tokens(self, text: str, *, with_begin: bool = False) -> list[int]:
        """Token ids of a text; `with_begin` puts before it what the file says a prompt starts with."""
        body = {"content": text, "add_special": with_begin, "parse_special": True}
        return [int(number) for number in self._ask("/tokenize", body)["tokens"]]

    def prompt_tokens(
        self, messages: Conversation, tools: list[dict[str, Any]] | None = None
    ) -> list[int]:
        """Token ids of a conversation through the chat template in the file."""
        body = {"messages": messages, **({"tools": tools} if tools else {})}
        prompt = self._ask("/apply-template", body)["prompt"]
        return self.tokens(prompt, with_begin=True)

    def go_on(self, prompt: list[int], count: int) -> list[int]:
        """The greedy tokens after these; fewer when the model ends."""
        body = {
            "prompt": prompt,
            "n_predict": count,
            "temperature": 0,
            "return_tokens": True,
            "cache_prompt": False,
        }
        return [int(number) for number in self._ask("/completion", body)["tokens"]]

    def write(self, prompt: list[int], most: int) -> Written:
        """The greedy text after these tokens, until the model ends or has written so many."""
        body = {"prompt": prompt, "n_predict": most, "temperature": 0, "cache_prompt": False}
        answer = self._ask("/completion", body)
        return Written(str(answer["content"]), int(answer["tokens_predicted"]))

    def chat(self, messages: Conversation, max_tokens: int) -> Reply:
        """The greedy answer, as a user gets it."""
        body = {
            "messages": messages,
            "max_tokens": max_tokens,
            "temperature": 0,
            "cache_prompt": False,
        }
        answer = self._ask("/v1/chat/completions", body)
        choice = answer["choices"][0]
        return Reply(
            prompt_tokens=int(answer["usage"]["prompt_tokens"]),
            text=choice["message"].get("content") or "",
            finish_reason="stop" if choice["finish_reason"] == "stop" else "length",
        )
