"""The training loop of the demo model: text from its own process, two optimizers, a provisional export now and then."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.queues import Queue
from os import nice
from pathlib import Path

import torch
from torch import Tensor, autograd, nn
from transformers import PreTrainedTokenizerFast

from finetune.demo.model import encode, initial_weights
from finetune.demo.network import Network
from finetune.demo.samples import Conversations

TOKENS_PER_BATCH = 4096
PROMPT_WEIGHT = 0.03
Batch = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train: `tokens` decides, so a slower machine makes the same model in more time.

    `seconds` is a limit by the clock: the schedule then ends early, and the model is weaker.
    """

    tokens: int
    seed: int
    seconds: float = math.inf
    matrix_rate: float = 0.006
    vector_rate: float = 6e-4
    warm_up: float = 0.01
    decay_from: float = 0.4


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
    x: Tensor = matrices.bfloat16()
    is_tall = x.shape[-2] > x.shape[-1]
    x = x.mT if is_tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.mT if is_tall else x


def rate_at(progress: float, plan: Plan) -> float:
    """The share of the full learning rate: a short rise, a plateau, a long linear fall to nearly nothing."""
    if progress < plan.warm_up:
        return progress / plan.warm_up
    return 1.0 if progress < plan.decay_from else max(0.01, (1 - progress) / (1 - plan.decay_from))


def _batches(plan: Plan, tokenizer: PreTrainedTokenizerFast) -> Iterator[Batch]:
    """Conversations of like length, padded to batches; the stream depends on the seed alone."""
    draw, made = Conversations(f"train {plan.seed}"), 0
    shuffle = torch.Generator().manual_seed(plan.seed)
    while True:
        pool = [
            encode(tokenizer, draw.draw(min(1.0, made / plan.tokens)).messages) for _ in range(512)
        ]
        pool = sorted(
            (item for item in pool if len(item[0]) <= 2048), key=lambda item: len(item[0])
        )
        groups: list[list[tuple[list[int], list[bool]]]] = [[]]
        for item in pool:
            if groups[-1] and (len(groups[-1]) + 1) * (len(item[0]) - 1) > TOKENS_PER_BATCH:
                groups.append([])
            groups[-1].append(item)
        for index in torch.randperm(len(groups), generator=shuffle).tolist():
            batch = _pad(groups[index])
            made += batch[0].numel()
            yield batch


def _pad(items: list[tuple[list[int], list[bool]]]) -> Batch:
    """Token ids in at least two rows, and where to predict what: all of the answers, every fourth prompt token."""
    length = math.ceil((max(len(ids) for ids, _ in items) - 1) / 32) * 32
    ids = torch.zeros(max(2, len(items)), length, dtype=torch.long)
    answers: list[tuple[int, int]] = []
    prompts: list[tuple[int, int]] = []
    for row, (tokens, said) in enumerate(items):
        ids[row, : len(tokens) - 1] = torch.tensor(tokens[:-1])
        for column, (target, learned) in enumerate(zip(tokens[1:], said[1:], strict=True)):
            if learned:
                answers.append((row * length + column, target))
            elif (row + column) % 4 == 0:
                prompts.append((row * length + column, target))
    weights = torch.cat(
        (
            torch.full((len(answers),), 1 / len(answers)),
            torch.full((len(prompts),), PROMPT_WEIGHT / len(prompts)),
        )
    )
    places, targets = torch.tensor([*answers, *prompts]).unbind(1)
    return ids, places.contiguous(), targets.contiguous(), weights


def _nothing(count: int) -> tuple[Tensor, Tensor, Tensor]:
    return torch.arange(count), torch.zeros(count, dtype=torch.long), torch.zeros(count)


def _feed(queue: "Queue[Batch]", plan: Plan, tokenizer: PreTrainedTokenizerFast) -> None:
    nice(5)
    torch.set_num_threads(1)
    for batch in _batches(plan, tokenizer):
        queue.put(tuple(part.numpy() for part in batch))  # type: ignore[arg-type]


def train(
    plan: Plan,
    tokenizer: PreTrainedTokenizerFast,
    export: Callable[[dict[str, Tensor]], None],
    export_seconds: float,
    log: Callable[[str], None],
    compiled: bool,
) -> dict[str, Tensor]:
    """Train from the initial weights; `export` is called with the weights now and then and at the end."""
    torch.manual_seed(plan.seed)
    network = Network(initial_weights(plan.seed))
    matrices = [p for name, p in network.named_parameters() if p.ndim == 2 and "layers" in name]
    others = [p for name, p in network.named_parameters() if p.ndim != 2 or "layers" not in name]
    muon = Muon(matrices, compiled)
    adam = torch.optim.AdamW(others, lr=plan.vector_rate, betas=(0.9, 0.98), weight_decay=0.0)
    loss_of = torch.compile(network.loss, dynamic=True) if compiled else network.loss
    context = get_context("spawn")
    queue: Queue[Batch] = context.Queue(64)
    feeder = context.Process(target=_feed, args=(queue, plan, tokenizer), daemon=True)
    feeder.start()
    # Compile before the clock starts, so that a limit by the clock counts training alone.
    autograd.backward(loss_of(torch.zeros(9, 480, dtype=torch.long), *_nothing(600)))
    autograd.backward(loss_of(torch.zeros(9, 352, dtype=torch.long), *_nothing(700)))
    network.zero_grad()
    seen, step, started, exported, average = 0, 0, time.monotonic(), time.monotonic(), 7.0
    progress = 0.0
    while progress < 1:
        ids, places, targets, weights = (torch.from_numpy(part) for part in queue.get())
        loss = loss_of(ids, places, targets, weights)
        autograd.backward(loss)
        share = rate_at(progress, plan)
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        muon.step(plan.matrix_rate * share)
        adam.param_groups[0]["lr"] = plan.vector_rate * share
        adam.step()
        network.zero_grad()
        seen, step = seen + ids.numel(), step + 1
        seconds = time.monotonic() - started
        progress = max(seen / plan.tokens, seconds / plan.seconds)
        average += (loss.item() - average) * max(0.01, 1 / step)
        if step % 50 == 0 or step < 4:
            log(
                f"step {step} tokens {seen / 1e6:.2f} M loss {average:.3f} rate {share:.2f} {seconds:.0f} s"
            )
        if time.monotonic() - exported > export_seconds:
            export(network.state_dict())
            exported = time.monotonic()
    feeder.terminate()
    export(network.state_dict())
    return network.state_dict()
