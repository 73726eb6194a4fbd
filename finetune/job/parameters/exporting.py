"""What comes out of a run."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field

Quantization = Literal["F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_K_S", "Q3_K_M"]


def _types(value: object) -> object:
    """One name, several between commas, or a list of either, in any case; each type once."""
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list | tuple) or not all(isinstance(one, str) for one in given):
        return value
    names = [name.strip().upper() for one in given for name in one.split(",")]
    return tuple(dict.fromkeys(name for name in names if name))


class Exporting(BaseModel):
    """The files that are made."""

    quantization: Annotated[tuple[Quantization, ...], BeforeValidator(_types)] = Field(
        ("Q4_K_M",),
        min_length=1,
        description="Types of the GGUF files, one or several; the first is published.",
    )
    importance_matrix: bool = Field(
        False,
        description="Weigh what to keep when quantizing by the training rows; needs llama.cpp's `llama-imatrix` and "
        "`llama-quantize`.",
    )
    keep_merged: bool = Field(
        False, description="Also write the merged model as safetensors, to be fetched."
    )
