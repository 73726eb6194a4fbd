"""How to generate, on the wire: one model of the options, for a question and for a persona's defaults."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from api.runtime import Options

ELSEWHERE = {
    "max_completion_tokens": "max_tokens",
    "max_length": "max_tokens",
    "max_new_tokens": "max_tokens",
    "n_ctx": "num_ctx",
    "n_predict": "max_tokens",
    "num_predict": "max_tokens",
    "repetition_penalty": "repeat_penalty",
    "stop_sequences": "stop",
}
"""What other services call them, or their next of kin: a message points from there to here."""


LEFT_OUT = "Left out: the persona's, else the runtime's default"


TokenId = Annotated[int, Field(ge=0, lt=2**31)]


def _as_texts(stop: object) -> object:
    """One text is a list of one."""
    if isinstance(stop, str):
        return (stop,)
    return tuple(stop) if isinstance(stop, list) else stop


class GenerationOptions(BaseModel):
    """Each may be left out: the persona's own holds then, else the runtime's default."""

    model_config = ConfigDict(extra="forbid")
    elsewhere: ClassVar[Mapping[str, str]] = ELSEWHERE

    temperature: float | None = Field(
        None,
        ge=0,
        le=5,
        allow_inf_nan=False,
        description=f"0 always takes the likeliest token. {LEFT_OUT}, over documents 0.",
    )
    top_p: float | None = Field(
        None,
        gt=0,
        le=1,
        allow_inf_nan=False,
        description=f"Sample from the likeliest tokens up to this share. {LEFT_OUT}.",
    )
    top_k: int | None = Field(
        None,
        ge=0,
        le=1_000_000,
        description=f"Sample from this many likeliest tokens; 0 from all. {LEFT_OUT}.",
    )
    min_p: float | None = Field(
        None,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description=f"Leave out tokens below this share of the likeliest one's probability. {LEFT_OUT}.",
    )
    repeat_penalty: float | None = Field(
        None,
        ge=0.1,
        le=10,
        allow_inf_nan=False,
        description=f"Above 1 makes tokens that were just said less likely; 1 changes nothing. {LEFT_OUT}.",
    )
    frequency_penalty: float | None = Field(
        None,
        ge=-2,
        le=2,
        allow_inf_nan=False,
        description=f"Above 0 makes tokens less likely by how often they were said; 0 changes nothing. {LEFT_OUT}.",
    )
    presence_penalty: float | None = Field(
        None,
        ge=-2,
        le=2,
        allow_inf_nan=False,
        description=f"Above 0 makes tokens that were said less likely, once; 0 changes nothing. {LEFT_OUT}.",
    )
    max_tokens: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Longest answer, in tokens. Left out: the persona's, else what the settings and the context leave.",
    )
    seed: int | None = Field(
        None,
        ge=0,
        le=2**32 - 2,
        description="Seed of the sampling. Left out: another one each time.",
    )
    stop: Annotated[tuple[str, ...] | None, BeforeValidator(_as_texts)] = Field(
        None, max_length=16, description="Texts that end the answer; one, or a list."
    )
    stop_token_ids: tuple[TokenId, ...] | None = Field(
        None,
        max_length=64,
        description="Ids of tokens that end the answer; an empty list: none. Where what runs the model tells ids. "
        f"{LEFT_OUT}.",
    )
    num_ctx: int | None = Field(
        None,
        ge=256,
        le=10_000_000,
        description="Context for prompt and answer, in tokens. Left out: the persona's, else the setting's.",
    )

    def options(self) -> Options:
        """As the runtimes take them."""
        names = GenerationOptions.model_fields
        return Options(**{name: getattr(self, name) for name in names})

    @staticmethod
    def of(options: Options) -> "GenerationOptions":
        """Those that are set, unchecked: a runtime may keep what no request could ask for."""
        values = asdict(options)
        names = [name for name in GenerationOptions.model_fields if values[name] is not None]
        return GenerationOptions.model_construct(**{name: values[name] for name in names})
