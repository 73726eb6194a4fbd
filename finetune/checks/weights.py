"""Whether a file holds the weights it was made of, tensor by tensor, and knows each token as the trained model does."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finetune.checks.verdict import Refused
from finetune.gguf_file import Contents

FAINT = 0.05
"""A row this much weaker than the others is measured against this much of them."""
ROWS = 2.5
"""How much further than a tensor one row of it may be."""

Part = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Apart:
    """How far the tensors of one type are from what they were made of, relative to their size: the worst one, and the
    worst row of any.
    """

    type: str
    tensors: int
    largest: float
    tensor: str
    largest_row: float
    row: str


def compare(exact: Contents, quantized: Contents) -> list[Apart]:
    """Every weight of a quantized file against the F16 file's."""
    found: dict[str, list[tuple[float, float, int, str]]] = {}
    for name, tensor in quantized.tensors.items():
        error, row_error, row = _apart(exact.rows(name), quantized.rows(name))
        found.setdefault(tensor.type, []).append((error, row_error, row, name))
    result = []
    for kind, all_of in sorted(found.items()):
        worst = max(all_of, key=lambda one: one[0])
        worst_row = max(all_of, key=lambda one: one[1])
        result.append(
            Apart(
                kind,
                len(all_of),
                round(worst[0], 5),
                worst[3],
                round(worst_row[1], 5),
                f"{worst_row[3]}, row {worst_row[2]}",
            )
        )
    return result


def judge(found: Sequence[Apart], bounds: Mapping[str, float]) -> None:
    """Within what quantizing costs. Raises `Refused`."""
    for apart in found:
        bound = bounds.get(apart.type, max(bounds.values()))
        for value, most, where in (
            (apart.largest, bound, f"tensor {apart.tensor}"),
            (apart.largest_row, ROWS * bound, apart.row),
        ):
            if not value <= most:
                raise Refused(
                    "The quantized GGUF holds other weights",
                    f"{where[0].upper()}{where[1:]} is {value:.2f} of its size away from the F16 file's; "
                    f"{apart.type} costs {most:.2f} at most.",
                )


def check_rows(
    exact: Contents, name: str, trained: Iterable[Part], tokens: Sequence[str], most: float
) -> float:
    """The rows that stand for tokens, against the trained model's, whatever scale it computes with. Raises `Refused`;
    returns the largest difference.
    """
    scale, begin, largest = 0.0, 0, 0.0
    for ours, theirs in zip(trained, exact.rows(name), strict=False):
        theirs = theirs[: len(ours)]
        scale = scale or float((ours * theirs).sum() / max(float((theirs**2).sum()), 1e-30))
        _, error, row = _apart([ours], [theirs * (scale or 1.0)])
        if not error <= most:
            token = begin + row
            raise Refused(
                "The GGUF knows a token differently",
                f"In {name} the row of token {token}, {tokens[token]!r}, is {error:.2f} of its size away from the "
                f"trained model's; the bound is {most}.",
            )
        begin, largest = begin + len(ours), max(largest, error)
    return round(largest, 5)


def _apart(ours: Iterable[Part], theirs: Iterable[Part]) -> tuple[float, float, int]:
    """The relative difference of all, that of the worst row, and which that is."""
    sizes, differences = [], []
    for a, b in zip(ours, theirs, strict=True):
        sizes.append(np.einsum("ij,ij->i", a, a, dtype=np.float64))
        away = a - b
        differences.append(np.einsum("ij,ij->i", away, away, dtype=np.float64))
    size, difference = np.concatenate(sizes), np.nan_to_num(np.concatenate(differences), nan=np.inf)
    mean = float(size.mean())
    if mean == 0:
        return (0.0 if difference.max() == 0 else math.inf), 0.0, 0
    rows = np.sqrt(difference / np.maximum(size, FAINT**2 * mean))
    row = int(rows.argmax())
    return math.sqrt(difference.mean() / mean), float(rows[row]), row
