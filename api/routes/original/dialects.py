"""How the wire of a back end's server differs, as fields of a request."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class DialectFields(BaseModel):
    """What is otherwise here than the provider's row says."""

    model_config = ConfigDict(extra="forbid")

    key_header: str | None = Field(None, pattern=r"^[A-Za-z][A-Za-z0-9-]{0,60}$")
    rename: dict[str, str] | None = Field(None, description="Parameters by other names.")
    drop: list[str] | None = Field(None, description="Parameters that are left out.")
    clamp: dict[str, tuple[float, float]] | None = Field(None, description="Least and most.")
    add: dict[str, Any] | None = Field(
        None,
        description="Sent with each conversation; a model may be given other values (`extra`).",
        examples=[{"reasoning_effort": "low"}],
    )
    takes: list[Literal["top_k", "min_p", "repeat_penalty", "stop_token_ids"]] | None = None
    stops: int | None = Field(None, ge=0, le=16)
    answers: Literal["json_schema", "json_object", "prompt"] | None = Field(
        None, description="How an answer is held to a schema."
    )
    tools: Literal["native", "prompt"] | None = None
    usage_in_stream: bool | None = None
    completions: bool | None = None
    embeddings: bool | None = None
    texts_at_once: int | None = Field(
        None,
        ge=1,
        le=2048,
        description="Texts that are embedded by one call; 32 if nothing is said.",
    )
    counts: Literal["llama.cpp", "vllm"] | None = None
