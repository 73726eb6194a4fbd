"""Speaks HTTP with one llama.cpp server and turns its failures into ours. Knows nothing of models or processes."""

import json
import re
import time
from array import array
from base64 import b64decode
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from api.errors import ApiError, BackEndFailed, InvalidOption, PromptTooLong, Unusable

JSONObject = Mapping[str, Any]
_CONNECT_SECONDS = 5
_SCHEMA_FAULT = re.compile(r"JSON schema (?:error|conversion failed)(?: at)?:? *(.*)", re.DOTALL)


class LlamaClient:
    """The calls the runtime needs. They wait as long as it takes: who watches `heard_at` ends a silent server."""

    def __init__(self, address: str, key: str) -> None:
        self.heard_at = time.monotonic()
        self.stalled = False
        # The server closes a connection after a stream without saying so: none is used twice.
        self._http = httpx2.AsyncClient(
            base_url=address,
            headers={"Authorization": f"Bearer {key}"},
            timeout=httpx2.Timeout(None, connect=_CONNECT_SECONDS),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=0),
            trust_env=False,
        )

    async def count(self, conversation: JSONObject) -> int:
        """Tokens of the prompt that the chat template makes of a conversation."""
        path = "/v1/chat/completions/input_tokens"
        return int((await self._post(path, conversation))["input_tokens"])

    async def render(self, conversation: JSONObject) -> str:
        """The prompt that the chat template makes of a conversation."""
        return str((await self._post("/apply-template", conversation))["prompt"])

    async def tokenize(
        self, texts: Sequence[str], *, add_special: bool = False, parse_special: bool = False
    ) -> list[list[int]]:
        """The ids of each text, in one call: the -1 between texts comes back among them. With the token that begins a
        prompt before the first, and control tokens read as such, or all as mere text.
        """
        content = [item for text in texts for item in (text, -1)]
        body = {"content": content, "add_special": add_special, "parse_special": parse_special}
        ids: list[list[int]] = [[]]
        for token in (await self._post("/tokenize", body))["tokens"]:
            if token == -1:
                ids.append([])
            else:
                ids[-1].append(token)
        return ids[:-1]

    async def embed(self, texts: Sequence[str], threads: int) -> list[list[float]]:
        """One normalised vector a text. An encoder's engine uses so many threads; llama.cpp has those it began with."""
        body = {"input": list(texts), "encoding_format": "base64", "threads": threads}
        answer = await self._post("/v1/embeddings", body)
        rows = sorted(answer["data"], key=lambda row: row["index"])
        return [array("f", b64decode(row["embedding"])).tolist() for row in rows]

    async def rerank(self, query: str, texts: Sequence[str]) -> list[float]:
        """One score a text, in their order."""
        answer = await self._post("/v1/rerank", {"query": query, "documents": list(texts)})
        rows = sorted(answer["results"], key=lambda row: row["index"])
        return [float(row["relevance_score"]) for row in rows]

    async def stream(self, path: str, body: JSONObject) -> AsyncGenerator[JSONObject, None]:
        """The chunks of a streamed generation; closing the iterator stops it in the server."""
        async with (
            self._translated(),
            self._http.stream("POST", path, json={**body, "stream": True}) as answer,
        ):
            if answer.status_code != httpx2.codes.OK:
                raise _refusal(answer.status_code, await answer.aread())
            async for line in answer.aiter_lines():
                self.heard_at = time.monotonic()
                if not line.startswith("data: ") or line == "data: [DONE]":
                    continue
                chunk = json.loads(line.removeprefix("data: "))
                if "error" in chunk:
                    raise _refusal(500, line.removeprefix("data: ").encode())
                yield chunk

    async def _post(self, path: str, body: JSONObject) -> JSONObject:
        async with self._translated():
            answer = await self._http.post(path, json=body)
            self.heard_at = time.monotonic()
            if answer.status_code != httpx2.codes.OK:
                raise _refusal(answer.status_code, answer.content)
            parsed: JSONObject = answer.json()
            return parsed

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        try:
            yield
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            what = "said nothing for too long and was stopped" if self.stalled else "ended"
            raise BackEndFailed(f"The model's process {what}. Ask again.") from error
        except UnicodeEncodeError as error:
            raise Unusable(
                "The text holds half of a surrogate pair; send valid Unicode."
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise BackEndFailed("The model's process gave an answer that is no JSON.") from error


def _refusal(status: int, content: bytes) -> ApiError:
    """What the server said no to, as one of our errors."""
    try:
        error = json.loads(content)["error"]
        message = str(error["message"])
    except (ValueError, KeyError, TypeError):
        return BackEndFailed(f"The model's process answered with status {status}.")
    if error.get("type") == "exceed_context_size_error":
        return PromptTooLong(error.get("n_prompt_tokens", 0), error.get("n_ctx", 0))
    if fault := _SCHEMA_FAULT.search(message):
        why = f"json_schema: llama.cpp cannot follow it: {fault[1][:500]}"
        return InvalidOption(why, where="response_format")
    if "failed to parse grammar" in message:
        return InvalidOption(
            "json_schema: it is too much for llama.cpp, which counts to 2,000 in lengths, items and repetitions.",
            where="response_format",
        )
    if "Failed to load image" in message:
        return InvalidOption(
            "images: an image is damaged, or of a kind that llama.cpp does not read: WebP is one. Send a PNG or JPEG.",
            where="messages",
        )
    if status == httpx2.codes.BAD_REQUEST:
        return InvalidOption(f"The model refuses the request: {message[:500]}")
    return BackEndFailed(f"The model's process failed: {message[:500]}")
