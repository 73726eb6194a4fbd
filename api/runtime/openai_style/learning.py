"""What a server says of a model when its back end is made: context, template, size. Servers call it differently."""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from api.errors import ApiError
from api.runtime.openai_style.client import OpenAIClient
from api.runtime.openai_style.dialect import Dialect
from api.runtime.openai_style.directory import RemoteModel
from api.runtime.tools import shows_tools

UNKNOWN_CONTEXT = 8192
"""Of a model of whose context neither its server nor who named it says anything."""
_CONTEXTS = ("max_model_len", "context_length", "context_window", "max_context_length")
_MOST = 2**50
_A_FUNCTION = {
    "type": "function",
    "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}},
}
_ANSWER_SECONDS = 10.0


async def learned(
    client: OpenAIClient, dialect: Dialect, models: Collection[RemoteModel]
) -> list[RemoteModel]:
    """Models with what their server, which is asked once, tells of them; what was said before stands. `ApiError` where
    it does not answer.
    """
    answer = await client.get("/models", within_seconds=_ANSWER_SECONDS)
    listed = answer.get("data")
    entries = {
        str(one.get("id")): one
        for one in (listed if isinstance(listed, list) else ())
        if isinstance(one, Mapping)
    }
    props: Mapping[str, Any] = {}
    if dialect.counts == "llama.cpp":
        with suppress(ApiError):  # a gateway before it may not have it
            props = await client.get("/props", from_root=True, within_seconds=_ANSWER_SECONDS)
    known = [_known(model, _entry(entries, model.remote), props) for model in models]
    if dialect.counts == "vllm" and dialect.tools == "native":
        asked = {one.remote for one in known if "tools" in one.capabilities}
        blind = {remote for remote in asked if not await _shows_tools(client, remote)}
        known = [_without_tools(one) if one.remote in blind else one for one in known]
    return known


def unsaid(model: RemoteModel) -> RemoteModel:
    """A model without a context that nobody has said: it is asked for again."""
    return replace(model, context_length=0) if model.context_length == UNKNOWN_CONTEXT else model


def _entry(entries: Mapping[str, Mapping[str, Any]], remote: str) -> Mapping[str, Any]:
    """What is said of a model, else of its `parent`: so vLLM calls an adapter's base, which has the context."""
    own = entries.get(remote) or {}
    return {
        **(entries.get(str(own.get("parent"))) or {}),
        **{name: value for name, value in own.items() if value is not None},
    }


def _known(model: RemoteModel, entry: Mapping[str, Any], props: Mapping[str, Any]) -> RemoteModel:
    """A model with what its entry in the list says, and its server of itself."""
    settings, meta = props.get("default_generation_settings"), entry.get("meta")
    loaded = settings.get("n_ctx") if isinstance(settings, Mapping) else None
    told = [loaded, *(entry.get(name) for name in _CONTEXTS)]
    template = str(props.get("chat_template") or "")
    if template and not shows_tools(template):
        model = _without_tools(model)
    return replace(
        model,
        context_length=model.context_length or next((n for one in told if (n := _whole(one))), 0),
        template=template,
        size_bytes=_whole(meta.get("size")) if isinstance(meta, Mapping) else 0,
    )


def _without_tools(model: RemoteModel) -> RemoteModel:
    """One whose template would drop them without a word."""
    return replace(model, capabilities=model.capabilities - {"tools"})


async def _shows_tools(client: OpenAIClient, remote: str) -> bool:
    """Whether the template that vLLM applies shows functions: then a prompt with one has more tokens than without."""
    body = {"model": remote, "messages": [{"role": "user", "content": "Hello"}]}
    prompts: tuple[dict[str, Any], ...] = ({}, {"tools": [_A_FUNCTION]})
    counts = []
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            for tools in prompts:
                answer = await client.post("/tokenize", {**body, **tools}, remote, from_root=True)
                counts.append(answer.get("count"))
    except (ApiError, TimeoutError):
        client.fault = ""  # a gateway before it may not have it
        return True
    return counts[0] != counts[1]


def _whole(value: Any) -> int:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and 0 < value < _MOST else 0
