"""What Ollama says of a model, read into values of ours."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from api.errors import BackEndFailed
from api.runtime import ModelInfo, Persona
from api.runtime.ollama.parameters import as_options, is_mark, parsed

_UNKNOWN_CONTEXT = 4096
_POOLED = (1, 2, 3)
_EMBEDS = ("bert", "t5encoder")
_CAPABILITIES = {
    "completion": "chat",
    "embedding": "embed",
    "vision": "images",
    "tools": "tools",
}


@dataclass(frozen=True, slots=True)
class OllamaModel:
    """One model. `name` is the server's own name for it, `digest` what changes when it is made anew, `marks` the
    stops that its template needs, `said_bytes` the size of the conversation that stands before every other,
    `vocabulary` its kind, `weights` where the server has them: personas over one base share theirs.
    """

    name: str
    digest: str
    info: ModelInfo
    marks: tuple[str, ...]
    thinks: bool
    said_bytes: int
    vocabulary: str
    weights: str


def shown_name(name: str) -> str:
    """A name as we list it: `x` and `x:latest` are one."""
    return name.removesuffix(":latest")


def read_model(tag: Mapping[str, Any], shown: Mapping[str, Any]) -> OllamaModel:
    """A model out of its entry in `/api/tags` and its `/api/show`."""
    try:
        return _read(tag, shown)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        name = tag.get("name")
        raise BackEndFailed(f"What Ollama says of model {name!r} cannot be read.") from error


def _read(tag: Mapping[str, Any], shown: Mapping[str, Any]) -> OllamaModel:
    model_info: Mapping[str, Any] = shown.get("model_info") or {}
    details: Mapping[str, Any] = shown.get("details") or {}
    architecture = str(model_info.get("general.architecture", ""))
    context_length = int(model_info.get(f"{architecture}.context_length") or _UNKNOWN_CONTEXT)
    template = str(shown.get("template") or "")
    parameters = parsed(str(shown.get("parameters") or ""))
    known = shown.get("capabilities") or _guessed(architecture, model_info)
    level = str(details.get("quantization_level") or "")
    weights = _weights(str(shown.get("modelfile") or ""))
    info = ModelInfo(
        name=shown_name(str(tag["name"])),
        size_bytes=int(tag.get("size") or 0),
        context_length=context_length,
        capabilities=_capabilities(known),
        template=template,
        persona=Persona(
            system=str(shown.get("system") or ""),
            parameters=as_options(parameters, template, context_length),
        ),
        modified_at=_time(str(tag.get("modified_at") or "")),
        quantization="" if level == "unknown" else level,
        parameter_count=int(model_info.get("general.parameter_count") or 0),
        digest=_digest(weights) or str(tag.get("digest") or ""),
        architecture=architecture,
        title=str(model_info.get("general.name") or model_info.get("general.basename") or ""),
    )
    history = [str(turn.get("content", "")) for turn in shown.get("messages") or ()]
    stops = parameters.get("stop", ())
    return OllamaModel(
        name=str(tag["name"]),
        digest=str(tag.get("digest") or ""),
        info=info,
        marks=tuple(stop for stop in stops if is_mark(stop, template)),
        thinks="thinking" in known,
        said_bytes=sum(len(content.encode()) for content in history),
        vocabulary=str(model_info.get("tokenizer.ggml.model", "")),
        weights=weights or str(tag["name"]),
    )


def _weights(modelfile: str) -> str:
    found = re.search(r"^FROM (.+)$", modelfile, re.MULTILINE)
    return found[1] if found else ""


def _digest(weights: str) -> str:
    """Of the weights, out of the place where the server has them."""
    found = re.search(r"sha256[-:]([0-9a-f]{64})$", weights)
    return found[1] if found else ""


def _capabilities(known: Iterable[str]) -> frozenset[str]:
    """Ours. A model that embeds does nothing else."""
    ours = {_CAPABILITIES[name] for name in known if name in _CAPABILITIES}
    if "chat" in ours:
        return frozenset(ours - {"embed"} | {"json_schema"})
    return frozenset(ours)


def _guessed(architecture: str, model_info: Mapping[str, Any]) -> tuple[str, ...]:
    """For a server that does not say what a model can do."""
    pooled = model_info.get(f"{architecture}.pooling_type") in _POOLED
    return ("embedding",) if pooled or architecture.endswith(_EMBEDS) else ("completion",)


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
    return time if time.tzinfo else time.replace(tzinfo=UTC)
