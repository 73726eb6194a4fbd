"""What a server says of a model when its back end is made: context, template, size. Servers call it differently."""

from collections.abc import Mapping
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


async def learned(client: OpenAIClient, dialect: Dialect, model: RemoteModel) -> RemoteModel:
    """A model with what its server tells of it; what was said before stands. `ApiError` where it does not."""
    listed = (await client.get("/models")).get("data") or ()
    entries = [one for one in listed if isinstance(one, Mapping) and one.get("id") == model.remote]
    entry = entries[0] if entries else {}
    meta = entry.get("meta") if isinstance(entry.get("meta"), Mapping) else {}
    told = [entry.get(name) for name in _CONTEXTS]
    template = ""
    if dialect.counts == "llama.cpp":
        try:
            props = await client.get("/props", from_root=True)
        except ApiError:  # a gateway before it may not have it
            props = {}
        template = str(props.get("chat_template") or "")
        settings = props.get("default_generation_settings")
        told.insert(0, settings.get("n_ctx") if isinstance(settings, Mapping) else None)
    context = next((number for one in told if (number := _whole(one))), 0)
    size = _whole(meta.get("size")) if isinstance(meta, Mapping) else 0
    abilities = model.capabilities
    if template and "tools" in abilities and not shows_tools(template):
        abilities -= {"tools"}  # it would drop them without a word
    return replace(
        model,
        context_length=model.context_length or context,
        capabilities=abilities,
        template=template,
        size_bytes=size,
    )


def _whole(value: Any) -> int:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and 0 < value < _MOST else 0
