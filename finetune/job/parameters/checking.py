"""How far an exported file may be from the model that was trained; the settings of whoever took the job decide."""

from typing import Annotated

from annotated_types import Ge
from pydantic import BaseModel, ConfigDict, Field

from finetune.job.parameters.exporting import Quantization

ByType = dict[Quantization, Annotated[float, Ge(0)]]

LOSS: ByType = {
    "F16": 0.005,
    "Q8_0": 0.02,
    "Q6_K": 0.05,
    "Q5_K_M": 0.05,
    "Q4_K_M": 0.10,
    "Q4_K_S": 0.12,
    "Q3_K_M": 0.25,
}
DIFFERENCE: ByType = {
    "F16": 0.005,
    "Q8_0": 0.02,
    "Q6_K": 0.05,
    "Q5_K_M": 0.08,
    "Q4_K_M": 0.12,
    "Q4_K_S": 0.15,
    "Q3_K_M": 0.25,
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


class Bounds(BaseModel):
    """Differences in log-probability, at the places where answers are compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    largest: float = Field(
        0.05, gt=0, description="Largest of the F16 file, over the five likeliest tokens."
    )
    difference: ByType = Field(DIFFERENCE, description="Mean of each type, weighted.")
    equal_first: ByType = Field(
        EQUAL_FIRST, description="Least share of places with an equal first token."
    )
    loss: ByType = Field(LOSS, description="What the loss of a type may be above the F16 file's.")


class Checking(BaseModel):
    """What is asked of the files."""

    bounds: Bounds = Field(Bounds(), description="How far a file may be from the trained model.")
