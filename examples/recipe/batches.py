"""Batches of fresh conversations for training the demo model; the stream depends on the seed alone."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.queues import Queue
from os import nice
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from examples.recipe.model import encode
from examples.recipe.samples import Conversations, Sample
from examples.recipe.tasks import Tasks

TOKENS_PER_BATCH = 4096
PROMPT_WEIGHT = 0.03
"""What predicting the prompts weighs beside the answers."""

Batch = tuple[Tensor, Tensor, Tensor, Tensor]
"""Token ids, the places in the flattened ids after which something is predicted, what, and its weight."""


Text = Literal["conversations", "tasks"]
"""What the first stage is trained on, and what the second one is."""


def _drawn(text: Text, seed: int) -> Callable[[float], Sample]:
    if text == "conversations":
        return Conversations(f"train {seed}").draw
    tasks = Tasks(f"train tasks {seed}")
    return lambda _: tasks.draw_task()


def batches(
    text: Text, tokens: int, seed: int, tokenizer: PreTrainedTokenizerFast
) -> Iterator[Batch]:
    """Samples of like length, padded to batches; the stream depends on the seed alone."""
    draw, made = _drawn(text, seed), 0
    shuffle = torch.Generator().manual_seed(seed)
    while True:
        samples = [draw(min(1.0, made / tokens)) for _ in range(512)]
        pool = [encode(tokenizer, sample.messages, sample.tools) for sample in samples]
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


def _feed(
    queue: "Queue[tuple[object, ...]]",
    text: Text,
    tokens: int,
    seed: int,
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    nice(5)
    torch.set_num_threads(1)
    for batch in batches(text, tokens, seed, tokenizer):
        queue.put(tuple(part.numpy() for part in batch))


@contextmanager
def fed(
    text: Text, tokens: int, seed: int, tokenizer: PreTrainedTokenizerFast
) -> Iterator[Iterator[Batch]]:
    """The batches, written by a process of their own while the model is trained."""
    context = get_context("spawn")
    queue: Queue[Any] = context.Queue(64)
    feeder = context.Process(target=_feed, args=(queue, text, tokens, seed, tokenizer), daemon=True)
    feeder.start()
    try:
        yield (_tensors(parts) for parts in iter(queue.get, None))
    finally:
        feeder.terminate()


def _tensors(parts: Any) -> Batch:
    ids, places, targets, weights = (torch.from_numpy(part) for part in parts)
    return ids, places, targets, weights
