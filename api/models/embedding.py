"""Texts to vectors by a model as it is: nothing is put around a text, as the search does for its own."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from api.errors import InvalidOption
from api.runtime import ModelInfo, ModelRuntime


class Embedded(NamedTuple):
    """Vectors, shape (texts, dimension), float32, each of length 1; and the tokens of all texts."""

    vectors: npt.NDArray[np.float32]
    tokens: int


async def embed(
    runtime: ModelRuntime, model: ModelInfo, texts: Sequence[str], dimensions: int | None = None
) -> Embedded:
    """One vector a text, cut to its first `dimensions` and made of length 1 again; `errors.InvalidOption` for more
    than the model has.
    """
    vectors = np.array(await runtime.embed(model, texts), dtype=np.float32)
    has = vectors.shape[1]
    if dimensions is not None and dimensions > has:
        raise InvalidOption(
            f"dimensions: {dimensions} are more than the {has} that {model.name!r} has.",
            where="dimensions",
        )
    if dimensions is not None and dimensions < has:
        vectors = vectors[:, :dimensions]
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors = (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return Embedded(vectors, sum(await runtime.tokenize_lengths(model, texts)))
