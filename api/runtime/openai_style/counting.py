"""Tokens of conversations and texts for a server on OpenAI's wire: exact where it can tell them, else estimated."""

from collections.abc import Sequence
from typing import Any, Protocol

from api.runtime import Message, TokenCount
from api.runtime.lengths import estimated
from api.runtime.openai_style.body import turns_body
from api.runtime.openai_style.client import OpenAIClient
from api.runtime.openai_style.dialect import Dialect

_AROUND_A_TURN = 6
_OF_AN_IMAGE = 1500
_AT_ONCE = 500


class Counting(Protocol):
    """Counts for one back end, whose own name of the model is `remote`."""

    async def conversation(self, remote: str, turns: Sequence[Message]) -> TokenCount:
        """Tokens of a prompt."""
        ...

    async def texts(self, remote: str, texts: Sequence[str]) -> list[int]:
        """Tokens of each text by itself."""
        ...

    async def prompt(
        self, remote: str, text: str, *, is_rendered: bool = False
    ) -> list[int] | None:
        """A text as the tokens that a prompt is; None where only the server knows them. Of one that a template has
        rendered control tokens are read as such.
        """
        ...


def counting_of(client: OpenAIClient, dialect: Dialect) -> Counting:
    """What counts for a server of that dialect."""
    if dialect.counts == "llama.cpp":
        return LlamaCounting(client)
    return VllmCounting(client) if dialect.counts == "vllm" else Estimates()


class Estimates:
    """`Counting` without a call."""

    async def conversation(self, remote: str, turns: Sequence[Message]) -> TokenCount:  # noqa: ARG002
        """More than it has."""
        said = [turn.content for turn in turns]
        said += [f"{c.name} {c.arguments}" for turn in turns for c in turn.tool_calls]
        images = sum(len(turn.images) for turn in turns)
        number = sum(estimated(said)) + _AROUND_A_TURN * len(turns) + _OF_AN_IMAGE * images
        return TokenCount(number, exact=False)

    async def texts(self, remote: str, texts: Sequence[str]) -> list[int]:  # noqa: ARG002
        """More than they have."""
        return estimated(texts)

    async def prompt(
        self,
        remote: str,  # noqa: ARG002
        text: str,  # noqa: ARG002
        *,
        is_rendered: bool = False,  # noqa: ARG002
    ) -> list[int] | None:
        """Not known."""
        return None


class LlamaCounting:
    """`Counting` by llama.cpp's server."""

    def __init__(self, client: OpenAIClient) -> None:
        self._client = client

    async def conversation(self, remote: str, turns: Sequence[Message]) -> TokenCount:
        """By the template that it applies."""
        answer = await self._client.post(
            "/chat/completions/input_tokens", {"model": remote, **turns_body(turns)}, remote
        )
        return TokenCount(int(answer["input_tokens"]), exact=True)

    async def texts(self, remote: str, texts: Sequence[str]) -> list[int]:
        """Several a call: the -1 between texts comes back among their tokens."""
        lengths: list[int] = []
        for start in range(0, len(texts), _AT_ONCE):
            content = [item for text in texts[start : start + _AT_ONCE] for item in (text, -1)]
            lengths.append(0)
            for token in await self._tokens(remote, content, add_special=False):
                if token == -1:
                    lengths.append(0)
                else:
                    lengths[-1] += 1
            lengths.pop()
        return lengths

    async def prompt(
        self, remote: str, text: str, *, is_rendered: bool = False
    ) -> list[int] | None:
        """With the token that begins a prompt."""
        return await self._tokens(remote, text, add_special=True, parse_special=is_rendered)

    async def _tokens(
        self, remote: str, content: Any, *, add_special: bool, parse_special: bool = False
    ) -> list[int]:
        body = {"content": content, "add_special": add_special, "parse_special": parse_special}
        answer = await self._client.post("/tokenize", body, remote, from_root=True)
        return [int(token) for token in answer["tokens"]]


class VllmCounting:
    """`Counting` by vLLM's server."""

    def __init__(self, client: OpenAIClient) -> None:
        self._client = client

    async def conversation(self, remote: str, turns: Sequence[Message]) -> TokenCount:
        """By the template that it applies."""
        body = {"model": remote, "add_generation_prompt": True, **turns_body(turns)}
        answer = await self._client.post("/tokenize", body, remote, from_root=True)
        return TokenCount(int(answer["count"]), exact=True)

    async def texts(self, remote: str, texts: Sequence[str]) -> list[int]:
        """A call a text."""
        return [len(await self._tokens(remote, text, add_special=False)) for text in texts]

    async def prompt(
        self,
        remote: str,
        text: str,
        *,
        is_rendered: bool = False,  # noqa: ARG002
    ) -> list[int] | None:
        """With the token that begins a prompt. Control tokens are read as such whoever wrote them."""
        return await self._tokens(remote, text, add_special=True)

    async def _tokens(self, remote: str, text: str, *, add_special: bool) -> list[int]:
        body = {"model": remote, "prompt": text, "add_special_tokens": add_special}
        answer = await self._client.post("/tokenize", body, remote, from_root=True)
        return [int(token) for token in answer["tokens"]]
