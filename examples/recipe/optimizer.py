"""Muon: the optimizer for the matrices inside the layers; it learns to copy in a fraction of AdamW's steps."""

import torch
from torch import Tensor, nn

from examples.recipe.network import compute_type


class Muon:
    """Momentum whose steps are made orthogonal; for the matrices inside the layers."""

    def __init__(
        self, parameters: list[nn.Parameter], compiled: bool, momentum: float = 0.95
    ) -> None:
        self.orthogonal = torch.compile(_orthogonal, dynamic=False) if compiled else _orthogonal
        self.groups: dict[tuple[int, ...], list[nn.Parameter]] = {}
        for parameter in parameters:
            self.groups.setdefault(tuple(parameter.shape), []).append(parameter)
        self.averages = {
            shape: torch.zeros(len(group), *shape) for shape, group in self.groups.items()
        }
        self.momentum = momentum

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One step; matrices of one shape are made orthogonal together."""
        for shape, group in self.groups.items():
            gradient = torch.stack([p.grad for p in group if p.grad is not None])
            average = self.averages[shape]
            average.lerp_(gradient, 1 - self.momentum)
            update = self.orthogonal(gradient.lerp(average, self.momentum))
            scale = rate * max(1.0, shape[0] / shape[1]) ** 0.5
            for parameter, change in zip(group, update, strict=True):
                parameter.sub_(change.float(), alpha=scale)


def _orthogonal(matrices: Tensor) -> Tensor:
    """The nearest orthogonal matrices, roughly: five Newton-Schulz steps."""
    x: Tensor = matrices.to(compute_type())
    is_tall = x.shape[-2] > x.shape[-1]
    x = x.mT if is_tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.mT if is_tall else x
