"""The demo model's network for fast training on a CPU: the Llama of transformers with the same weight names.

Weights are kept in float32 and used in what the processor multiplies fastest.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from examples.recipe.model import (
    CONTEXT,
    FEED_FORWARD,
    HEAD,
    HEADS,
    HIDDEN,
    LAYERS,
    VOCABULARY,
    rotary_frequencies,
)


def compute_type() -> torch.dtype:
    """bfloat16 where the processor has matrix units for it, which are many times faster; else float32, for without them
    bfloat16 is the slower one.
    """
    told = Path("/proc/cpuinfo")
    flags = set(told.read_text().split()) if told.exists() else set()
    return torch.bfloat16 if flags & {"avx512_bf16", "amx_bf16"} else torch.float32


class Linear(nn.Module):
    """A matrix without a bias."""

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(rows, columns))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.to(x.dtype))


class Norm(nn.Module):
    """Root-mean-square normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(HIDDEN))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-5)
        return (wide * self.weight).to(x.dtype)


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


QUERIES = 64
"""So many are looked at together on the way back."""


class CausalAttention(torch.autograd.Function):
    """Torch's own forward pass with a backward pass of plain matrix products, twice as fast on a CPU."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """What scaled dot-product attention gives."""
        out, log_sum = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            q, k, v, 0.0, True
        )
        ctx.save_for_backward(q, k, v, out, log_sum)
        return cast(Tensor, out)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The attention weights are made again from the saved sums, some queries at a time: each looks back only."""
        q, k, v, out, log_sum = ctx.saved_tensors
        scale, length = HEAD**-0.5, q.shape[2]
        positions = torch.arange(length)
        to_q, to_k, to_v = (torch.zeros_like(part) for part in (q, k, v))
        for start in range(0, length, QUERIES):
            end = min(start + QUERIES, length)
            here, before = slice(start, end), slice(0, end)
            query, past, come = q[:, :, here], k[:, :, before], gradient[:, :, here]
            weights = torch.exp(
                (query @ past.mT).float() * scale - log_sum[:, :, here].unsqueeze(-1)
            )
            weights = weights * (positions[here, None] >= positions[before])
            inner = (come * out[:, :, here]).sum(-1, keepdim=True, dtype=torch.float32)
            wide = weights * ((come @ v[:, :, before].mT).float() - inner) * scale
            scores = wide.to(q.dtype)
            to_q[:, :, here] = scores @ past
            to_k[:, :, before] += scores.mT @ query
            to_v[:, :, before] += weights.to(q.dtype).mT @ come
        return to_q, to_k, to_v


class Attention(nn.Module):
    """Causal self-attention with rotary positions."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (
            Linear(HIDDEN, HIDDEN) for _ in range(4)
        )

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        rows, length, _ = x.shape
        q, k, v = (
            part(x).view(rows, length, HEADS, HEAD).transpose(1, 2)
            for part in (self.q_proj, self.k_proj, self.v_proj)
        )
        attend: Callable[[Tensor, Tensor, Tensor], Tensor] = CausalAttention.apply
        y = attend(_turn(q, cos, sin), _turn(k, cos, sin), v)
        y = y.transpose(1, 2).reshape(rows, length, HIDDEN)
        out: Tensor = self.o_proj(y)
        return out


class FeedForward(nn.Module):
    """The gated feed-forward layer."""

    def __init__(self) -> None:
        super().__init__()
        self.gate_proj, self.up_proj = Linear(FEED_FORWARD, HIDDEN), Linear(FEED_FORWARD, HIDDEN)
        self.down_proj = Linear(HIDDEN, FEED_FORWARD)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class Layer(nn.Module):
    """Attention and feed-forward, each normalised before and added after."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn, self.mlp = Attention(), FeedForward()
        self.input_layernorm, self.post_attention_layernorm = Norm(), Norm()

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class Body(nn.Module):
    """Embedding, layers, last normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(VOCABULARY, HIDDEN)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm = Norm()


class Network(nn.Module):
    """The whole model; the embedding is also the output matrix."""

    cos: Tensor
    sin: Tensor

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        self.model = Body()
        self.compute = compute_type()
        angles = torch.outer(torch.arange(CONTEXT), rotary_frequencies())
        self.register_buffer("cos", angles.cos().to(self.compute), persistent=False)
        self.register_buffer("sin", angles.sin().to(self.compute), persistent=False)
        self.load_state_dict(weights)

    def forward(self, ids: Tensor) -> Tensor:
        """The normalised state of every position."""
        length = ids.shape[1]
        x = F.embedding(ids, self.model.embed_tokens.weight.to(self.compute))
        for layer in self.model.layers:
            x = layer(x, self.cos[:length], self.sin[:length])
        out: Tensor = self.model.norm(x)
        return out

    def loss(self, ids: Tensor, places: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """The weighted sum of the losses of predicting the targets at the given places of the flattened batch."""
        chosen = self(ids).flatten(0, 1)[places]
        logits = F.linear(chosen, self.model.embed_tokens.weight.to(self.compute)).float()
        return (F.cross_entropy(logits, targets, reduction="none") * weights).sum()
