"""The model as it was trained, in float32, a layer at a time: what the exported files are held against.

The weights stay on disk, mapped into memory in the type they have there; a layer is float32, and on the GPU where there
is one, only while it computes. So the reference is exact and needs little more room than its largest layer.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import AuxiliaryTrainingWrapper
from transformers import AutoModelForCausalLM

from finetune.checks.comparing import Expected, expected
from finetune.checks.passages import Passage

TOGETHER = 2048
"""Tokens that go through the layers together: each time costs one reading of all weights."""


class Reference:
    """A base with its adapter, or a model that was trained whole."""

    def __init__(self, base: Path, adapter: Path | None = None, vocabulary: int = 0) -> None:
        """`vocabulary`: how many rows the embedding has with tokens that the training added; 0 where it added none."""
        self._device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
        model: Any = AutoModelForCausalLM.from_pretrained(
            str(base),
            dtype="auto",
            device_map="cpu",
            attn_implementation="eager",
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
        )
        if vocabulary > model.get_input_embeddings().weight.shape[0]:
            model.resize_token_embeddings(vocabulary, mean_resizing=False)
        self._model: Any = PeftModel.from_pretrained(model, str(adapter)) if adapter else model
        self._output: Any = self._model.get_output_embeddings()
        self._model.eval()
        for module in self._model.modules():
            for name, buffer in list(module.named_buffers(recurse=False)):
                setattr(module, name, buffer.to(self._device))
        for unit in _units(self._model):
            _Lent(self._device).attach(unit)

    def expect(self, passages: Sequence[Passage]) -> list[Expected]:
        """What it says of each passage, at each token asked about."""
        order = sorted(range(len(passages)), key=lambda number: len(passages[number].tokens))
        results: dict[int, Expected] = {}
        for group in _groups(order, [len(passage.tokens) for passage in passages]):
            scores = self._together([passages[number] for number in group])
            results |= zip(group, scores, strict=True)
        return [results[number] for number in range(len(passages))]

    def rows_in(self, count: int) -> Iterator[NDArray[np.float32]]:
        """How each token is read, so many at a time."""
        module = self._model.get_input_embeddings()
        tokens = int(self._model.config.get_text_config().vocab_size)
        for begin in range(0, tokens, count):
            asked = torch.arange(begin, min(begin + count, tokens), device=self._device)
            with torch.no_grad():
                yield module(asked[None])[0].float().cpu().numpy()

    def rows_out(self, count: int) -> Iterator[NDArray[np.float32]]:
        """How each token is written, so many at a time."""
        hidden = int(self._model.config.get_text_config().hidden_size)
        with torch.no_grad():
            shift = self._output(torch.zeros((1, hidden), device=self._device))
            rows = self._output(torch.eye(hidden, device=self._device))
            rows -= shift
            for part in rows.T.split(count):
                yield part.float().cpu().numpy()

    def _together(self, passages: list[Passage]) -> list[Expected]:
        longest = max(len(passage.tokens) for passage in passages)
        ids = torch.zeros((len(passages), longest), dtype=torch.long, device=self._device)
        mask = torch.zeros_like(ids)
        for row, passage in enumerate(passages):
            ids[row, : len(passage.tokens)] = torch.tensor(passage.tokens)
            mask[row, : len(passage.tokens)] = 1
        rows = [row for row, passage in enumerate(passages) for _ in passage.places]
        places = [place - 1 for passage in passages for place in passage.places]

        def only_asked(module: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
            del module
            return arguments[0][rows, places][None], *arguments[1:]

        hook = self._output.register_forward_pre_hook(only_asked)
        try:
            with torch.no_grad():
                made: Any = self._model(input_ids=ids, attention_mask=mask, use_cache=False)
        finally:
            hook.remove()
        scores = torch.log_softmax(made.logits[0].float(), dim=-1).cpu()
        parts = torch.split(scores, [len(passage.places) for passage in passages])
        return [expected(part.numpy(), p) for part, p in zip(parts, passages, strict=True)]


def _groups(order: list[int], lengths: list[int]) -> Iterator[list[int]]:
    """Numbers of passages of similar lengths, so many that they go through together."""
    group: list[int] = []
    for number in order:
        if group and (len(group) + 1) * lengths[number] > TOGETHER:
            yield group
            group = []
        group.append(number)
    if group:
        yield group


def _units(module: Any) -> Iterator[Any]:
    """The parts that compute on their own: each layer of a stack, and what has weights beside the stacks."""
    own = next(module.parameters(recurse=False), None)
    if own is not None or isinstance(module, BaseTunerLayer | AuxiliaryTrainingWrapper):
        yield module
        return
    for child in module.children():
        if isinstance(child, torch.nn.ModuleList):
            yield from child
        else:
            yield from _units(child)


class _Lent:
    """Gives a module float32 weights for as long as it computes."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._kept: list[tuple[torch.nn.Parameter, torch.Tensor]] = []

    def attach(self, module: Any) -> None:
        module.register_forward_pre_hook(self._lend)
        module.register_forward_hook(self._take_back, always_call=True)

    def _lend(self, module: Any, arguments: Any) -> None:
        del arguments
        for weight in module.parameters():
            self._kept.append((weight, weight.data))
            weight.data = weight.data.to(self._device, torch.float32)

    def _take_back(self, module: Any, arguments: Any, result: Any) -> None:
        del module, arguments, result
        while self._kept:
            weight, data = self._kept.pop()
            weight.data = data
