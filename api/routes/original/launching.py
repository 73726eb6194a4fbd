"""What is said over HTTP of a server that is started here, and what is told of it."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.backends.launch import Launch
from api.backends.server import Seen

Adapter = Annotated[
    str | None,
    Field(
        max_length=200,
        description="A job's id, `JOB/STEP` for one of its checkpoints, or a PEFT folder beside the bases.",
    ),
]
StartSeconds = Annotated[
    float | None, Field(gt=0, le=86_400, description="Until it answers, from its start: 600.")
]


class CausalServer(BaseModel):
    """transformers over a base that can be trained."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["causal"]
    model: str = Field(max_length=200, description="The base's name.", examples=["mistral-7b-v0.1"])
    bits: Literal[4, 8, 16] = 16
    adapter: Adapter = None
    model_arguments: dict[str, Any] = Field({}, description="Of `from_pretrained`, by allow-list.")
    tokenizer_arguments: dict[str, Any] = Field({}, description="The tokenizer's, likewise.")
    start_seconds: StartSeconds = None


class CustomServer(BaseModel):
    """A class in the folder of `LLM_FASTAPI_MODEL_SERVERS_DIR`."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["custom"]
    class_: str = Field(
        alias="class", max_length=200, description="`module:Class`.", examples=["parrots:Parrot"]
    )
    arguments: dict[str, Any] = Field({}, description="Of its `init`.")
    start_seconds: StartSeconds = None


class VllmServer(BaseModel):
    """`vllm serve`, where it is installed."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["vllm"]
    model: str = Field(max_length=200, description="The base's name.")
    adapter: Adapter = None
    engine: dict[str, Any] = Field(
        {}, description="vLLM's arguments, by allow-list.", examples=[{"tensor_parallel_size": 2}]
    )
    start_seconds: StartSeconds = None


ServerFields = Annotated[CausalServer | CustomServer | VllmServer, Field(discriminator="kind")]


class ServerResponse(BaseModel):
    """A server that is started here."""

    kind: str
    model: str
    bits: int | None = Field(description="Of `causal`.")
    adapter: str | None
    arguments: dict[str, Any]
    tokenizer_arguments: dict[str, Any]
    start_seconds: float
    state: str = Field(
        description="`stopped` (the next call starts it), `starting`, `ready`, `waiting` (it died, and is started "
        "again), `failed` (it died too often: a PATCH starts it)."
    )
    why: str | None = Field(description="How it ended last.")
    deaths: int = Field(description="Since it was last well.")
    log: list[str] = Field(description="The end of its log.")


def launch_of(server: CausalServer | CustomServer | VllmServer | None) -> Launch | None:
    """The value of what was said; what is left out is as the value has it."""
    if server is None:
        return None
    seconds: Mapping[str, Any] = {}
    if server.start_seconds is not None:
        seconds = {"start_seconds": server.start_seconds}
    if isinstance(server, CustomServer):
        return Launch("custom", server.class_, arguments=server.arguments, **seconds)
    adapter = server.adapter or ""
    if isinstance(server, VllmServer):
        return Launch("vllm", server.model, adapter=adapter, arguments=server.engine, **seconds)
    return Launch(
        "causal",
        server.model,
        bits=server.bits,
        adapter=adapter,
        arguments=server.model_arguments,
        tokenizer_arguments=server.tokenizer_arguments,
        **seconds,
    )


def server_response(launch: Launch | None, seen: Seen | None) -> ServerResponse | None:
    """It as it is told."""
    if launch is None or seen is None:
        return None
    return ServerResponse(
        kind=launch.kind,
        model=launch.model,
        bits=launch.bits if launch.kind == "causal" else None,
        adapter=launch.adapter or None,
        arguments=dict(launch.arguments),
        tokenizer_arguments=dict(launch.tokenizer_arguments),
        start_seconds=launch.start_seconds,
        state=seen.state,
        why=seen.why or None,
        deaths=seen.deaths,
        log=seen.log,
    )
