"""How a server's wire differs from OpenAI's, as a value: `body.py` and `runtime.py` follow it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from api.runtime import ModelInfo

USUAL = frozenset({"top_k", "min_p", "repeat_penalty"})
BEYOND = USUAL | {"stop_token_ids"}
"""Options of ours that OpenAI's wire does not have; the `USUAL` ones many servers take all the same."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a server takes, and by which names. Parameters are told by OpenAI's names, and `BEYOND` by ours.

    `schema` is how an answer is held to a schema: by the server, by the server to some JSON object, or by being told
    so; `tools` whether functions go over the wire (else they are a schema, and only a call that must be made can be).
    `counts` names the calls by which the server counts tokens exactly.
    """

    key_header: str = "Authorization"
    """The key stands in it: as `Bearer KEY` in this one, bare in any other."""
    rename: Mapping[str, str] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    """Left out, for the server refuses them and answers well without."""
    clamp: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Brought to the next number that the server takes."""
    add: Mapping[str, Any] = field(default_factory=dict)
    """Sent with each conversation. A model may have other values of its own for them (`Options.extra`)."""
    takes: frozenset[str] = USUAL
    """Which of `BEYOND` the server takes; another one is refused."""
    stops: int = 16
    schema: Literal["json_schema", "json_object", "prompt"] = "json_schema"
    tools: Literal["native", "prompt"] = "native"
    usage_in_stream: bool = True
    """Whether the server takes `stream_options`, with which it is asked for its usage."""
    completions: bool = True
    """Whether there is `/completions`, for texts without a conversation."""
    embeddings: bool = True
    texts_at_once: int = 32
    """Texts that are embedded by one call."""
    counts: Literal["", "llama.cpp", "vllm"] = ""

    def taking(self, model: ModelInfo) -> ModelInfo:
        """A model with what the server takes of it."""
        stops = "stop_token_ids" in self.takes
        return replace(model, stops_at_tokens=stops, extras=frozenset(self.add))
