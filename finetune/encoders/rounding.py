"""Matrices in 8 bits: whole numbers, and what one of them is worth in each row or column."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

GREATEST = 127


class Rounded(NamedTuple):
    """Numbers of -127 to 127, and one scale a row or a column."""

    numbers: NDArray[np.int8]
    scales: NDArray[np.float32]


def by_row(matrix: NDArray[Any]) -> Rounded:
    """One scale a row."""
    greatest = np.abs(matrix).max(axis=1)
    scales = (np.where(greatest > 0, greatest, 1) / GREATEST).astype(np.float32)
    return Rounded(np.rint(matrix / scales[:, None]).astype(np.int8), scales)


def by_column(matrix: NDArray[Any]) -> Rounded:
    """One scale a column."""
    numbers, scales = by_row(matrix.T)
    return Rounded(numbers.T, scales)
