"""How far an exported file may be from the model that was trained; the settings of whoever took the job decide."""

from typing import Annotated

from annotated_types import Ge
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from finetune.job.parameters.exporting import Quantization

ByType = dict[Quantization, Annotated[float, Ge(0)]]

DIFFERENCE: ByType = {
    "F16": 0.02,
    "Q8_0": 0.12,
    "Q6_K": 0.3,
    "Q5_K_M": 0.5,
    "Q4_K_M": 1.2,
    "Q4_K_S": 0.9,
    "Q3_K_M": 2.0,
}
EQUAL_FIRST: ByType = {
    "F16": 0.98,
    "Q8_0": 0.95,
    "Q6_K": 0.9,
    "Q5_K_M": 0.85,
    "Q4_K_M": 0.8,
    "Q4_K_S": 0.8,
    "Q3_K_M": 0.7,
}
LOSS: ByType = {
    "F16": 0.005,
    "Q8_0": 0.02,
    "Q6_K": 0.05,
    "Q5_K_M": 0.05,
    "Q4_K_M": 0.10,
    "Q4_K_S": 0.12,
    "Q3_K_M": 0.25,
}
WEIGHTS: dict[str, float] = {
    "F32": 0.0,
    "F16": 0.001,
    "Q8_0": 0.012,
    "Q6_K": 0.03,
    "Q5_K": 0.06,
    "Q4_K": 0.115,
    "Q3_K": 0.23,
    "Q5_0": 0.08,
    "Q5_1": 0.07,
    "Q4_0": 0.15,
    "Q4_1": 0.15,
    "IQ4_NL": 0.15,
}


class Bounds(BaseModel):
    """Of the differences between an exported file and the trained model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    largest: float = Field(
        0.05,
        gt=0,
        description="In log-probability, of the five likeliest tokens in the F16 file at any place.",
    )
    difference: ByType = Field(DIFFERENCE, description="Mean of the same in the file of each type.")
    equal_first: ByType = Field(
        EQUAL_FIRST,
        description="Least share of places where the likeliest token is the same, but for ties within `difference`.",
    )
    loss: ByType = Field(
        LOSS,
        description="Mean loss of an answer's token above the F16 file's, for each type, beyond what chance explains.",
    )
    weights: dict[str, float] = Field(
        WEIGHTS,
        description="Of a tensor from the F16 file's, relative to its size, for each type of tensors.",
    )
    token_rows: float = Field(
        0.01, gt=0, description="Of a token's weights in the F16 file, relative to their size."
    )
    answers: float = Field(
        0.3,
        gt=0,
        description="In log-probability, of what the published file says from the trained model's own choices; a mean.",
    )

    @field_validator("difference", "equal_first", "loss", "weights", mode="before")
    @classmethod
    def over_the_defaults(cls, value: object, info: ValidationInfo) -> object:
        """Types that are not named keep their bound."""
        default = cls.model_fields[str(info.field_name)].default
        return {**default, **value} if isinstance(value, dict) else value


class Checking(BaseModel):
    """What is asked of the files."""

    bounds: Bounds | None = Field(
        None, description="How far a file may be from the trained model; the defaults without it."
    )
