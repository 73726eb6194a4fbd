"""What comes out of a run."""

from typing import Literal

from pydantic import BaseModel, Field

Quantization = Literal["F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_K_S", "Q3_K_M"]


class Exporting(BaseModel):
    """The files that are made."""

    quantization: Quantization = Field("Q4_K_M", description="Type of the published GGUF.")
