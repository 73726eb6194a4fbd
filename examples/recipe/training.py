"""The training loop of the demo model: two optimizers, one schedule, a provisional export now and then."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, autograd
from transformers import PreTrainedTokenizerFast

from examples.recipe.batches import Batch, Text, fed
from examples.recipe.model import initial_weights
from examples.recipe.network import Network
from examples.recipe.optimizer import Muon

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train: `tokens` decides, so a slower machine makes the same model in more time.

    `seconds` is a limit by the clock: the schedule then ends early, and the model is weaker.
    """

    tokens: int
    seed: int
    seconds: float = math.inf
    text: Text = "conversations"
    matrix_rate: float = 0.006
    vector_rate: float = 6e-4
    warm_up: float = 0.01
    decay_from: float = 0.4


class Trained(NamedTuple):
    """What a run took."""

    tokens: int
    steps: int
    seconds: float
    loss: float


def rate_at(progress: float, plan: Plan) -> float:
    """The share of the full learning rate: a short rise, a plateau, a long linear fall to nearly nothing."""
    if progress < plan.warm_up:
        return progress / plan.warm_up
    return 1.0 if progress < plan.decay_from else max(0.01, (1 - progress) / (1 - plan.decay_from))


def train(
    plan: Plan,
    tokenizer: PreTrainedTokenizerFast,
    export: Callable[[Weights], None],
    export_seconds: float,
    log: Callable[[str], None],
    *,
    is_compiled: bool,
    weights: Weights | None = None,
) -> Trained:
    """Train from the given or the initial weights; `export` gets the weights now and then and at the end."""
    torch.manual_seed(plan.seed)
    network = Network(weights or initial_weights(plan.seed))
    with fed(plan.text, plan.tokens, plan.seed, tokenizer) as stream:
        done = _loop(plan, network, stream, export, export_seconds, log, is_compiled)
    export(network.state_dict())
    return done


def _loop(
    plan: Plan,
    network: Network,
    stream: Iterator[Batch],
    export: Callable[[Weights], None],
    export_seconds: float,
    log: Callable[[str], None],
    is_compiled: bool,
) -> Trained:
    loss_of = torch.compile(network.loss, dynamic=True) if is_compiled else network.loss
    if is_compiled:
        _compile(network, loss_of)
    named = list(network.named_parameters())
    others = [p for name, p in named if p.ndim != 2 or "layers" not in name]
    muon = Muon([p for name, p in named if p.ndim == 2 and "layers" in name], is_compiled)
    adam = torch.optim.AdamW(others, lr=plan.vector_rate, betas=(0.9, 0.98), weight_decay=0.0)
    started = exported = time.monotonic()
    done, progress = Trained(0, 0, 0.0, 7.0), 0.0
    while progress < 1:
        batch = next(stream)
        loss = loss_of(*batch)
        autograd.backward(loss)
        share = rate_at(progress, plan)
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        muon.step(plan.matrix_rate * share)
        adam.param_groups[0]["lr"] = plan.vector_rate * share
        adam.step()
        network.zero_grad()
        steps, seconds = done.steps + 1, time.monotonic() - started
        average = done.loss + (loss.item() - done.loss) * max(0.01, 1 / steps)
        done = Trained(done.tokens + batch[0].numel(), steps, seconds, average)
        progress = max(done.tokens / plan.tokens, seconds / plan.seconds)
        if steps % 10 == 0:
            log(
                f"step {steps} tokens {done.tokens / 1e6:.2f} M loss {average:.3f} "
                f"rate {share:.2f} {seconds:.0f} s"
            )
        if time.monotonic() - exported > export_seconds:
            export(network.state_dict())
            exported = time.monotonic()
    return done


def _compile(network: Network, loss_of: Callable[..., Tensor]) -> None:
    """Compile before the clock starts, so that a limit by the clock counts training alone."""
    for rows, length, count in ((9, 480, 600), (9, 352, 700)):
        ids = torch.zeros(rows, length, dtype=torch.long)
        nothing = torch.zeros(count, dtype=torch.long)
        autograd.backward(loss_of(ids, torch.arange(count), nothing, torch.zeros(count)))
    network.zero_grad()
