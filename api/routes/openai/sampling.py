"""How to generate, as OpenAI's requests say it: what chat, completions and responses have in common."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from api.runtime import Options

MAX_N = 8
"""Answers of one request."""
MAX_BIASES = 1024
MAX_SEED = 2**32 - 2
TokenId = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,7}$")]


def _few(biases: Any) -> Any:
    """Counted before each of them is looked at."""
    if isinstance(biases, dict) and len(biases) > MAX_BIASES:
        raise PydanticCustomError("too_long", "", {"max_length": MAX_BIASES})
    return biases


Biases = Annotated[dict[TokenId, Annotated[float, Field(ge=-100, le=100)]], BeforeValidator(_few)]
Stop = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]


def thinks(effort: Effort | None) -> bool | None:
    """Whether a model that can thinks before it answers; how long is its own choice."""
    return None if effort is None else effort not in ("none", "minimal")


Variables = Annotated[dict[str, str], Field(default_factory=dict)]
"""Values of the variables in a model's `prompt_template`, as a field of ours."""


class StreamOptions(BaseModel):
    """What a stream tells beside the answer; without a stream nothing, as proxies send it."""

    include_usage: bool | None = None


class Sampling(BaseModel):
    """Each may be left out: the persona's own holds then, else the runtime's default."""

    stream: bool = False
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(None, gt=0, le=1, allow_inf_nan=False)
    top_k: int | None = Field(None, ge=0, le=1_000_000)
    min_p: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    frequency_penalty: float | None = Field(None, ge=-2, le=2, allow_inf_nan=False)
    presence_penalty: float | None = Field(None, ge=-2, le=2, allow_inf_nan=False)
    repeat_penalty: float | None = Field(None, ge=0.1, le=10, allow_inf_nan=False)
    logit_bias: Biases | None = None
    seed: int | None = Field(None, ge=0, le=MAX_SEED)
    stop: Stop | Annotated[list[Stop], Field(fail_fast=True, max_length=16)] | None = None
    stop_token_ids: Annotated[list[int], Field(fail_fast=True, max_length=64)] | None = None

    def sampled(self) -> Options:
        """As the runtimes take them."""
        bias = {int(token): value for token, value in (self.logit_bias or {}).items()}
        return Options(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            frequency_penalty=self.frequency_penalty,
            presence_penalty=self.presence_penalty,
            repeat_penalty=self.repeat_penalty,
            logit_bias=bias or None,
            seed=self.seed,
            stop=(self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ()) or None,
            stop_token_ids=None if self.stop_token_ids is None else tuple(self.stop_token_ids),
        )


class Choices(Sampling):
    """Several answers to one request, each no longer than `max_tokens`."""

    n: int = Field(1, ge=1, le=MAX_N)
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1, le=1_000_000)

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with what it took."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def seed_of(self, number: int) -> int | None:
        """The seed of one of the answers, so that those of one request differ and can be had again."""
        return None if self.seed is None else (self.seed + number) % (MAX_SEED + 1)
