"""How likely a GGUF file finds given tokens: llama.cpp without its server, all places of a sequence at once."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from cyllama.llama import llama_cpp
from numpy.typing import NDArray

from finetune.checks.verdict import Refused

PART = 512
"""Tokens that are decoded together."""


def threads() -> int:
    """All cores, or what OMP_NUM_THREADS allows."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdigit() and int(asked) > 0 else os.cpu_count() or 1


class _Model(llama_cpp.LlamaModel):  # type: ignore[misc]  # untyped
    """cyllama's context asks its model for the size of the vocabulary, which only the vocabulary knows.

    To go when `LlamaContext.get_logits_ith` of a release works without it.
    """

    @property
    def n_vocab(self) -> int:
        return int(self.get_vocab().n_vocab)


class Scorer:
    """A loaded GGUF; the same tokens have the same logits each time."""

    def __init__(self, path: Path, context: int) -> None:
        llama_cpp.disable_logging()
        model = llama_cpp.LlamaModelParams()
        model.n_gpu_layers = 0
        self._context_size = context
        parameters = llama_cpp.LlamaContextParams()
        parameters.n_ctx = context
        parameters.n_batch = parameters.n_ubatch = min(PART, context)
        try:
            self._model = _Model(str(path), model)
            self._context: Any = llama_cpp.LlamaContext(self._model, parameters)
        except (RuntimeError, ValueError, MemoryError) as error:
            raise Refused(
                "The GGUF does not load", f"llama.cpp refuses {path.name}: {error}"
            ) from error
        self._context.set_n_threads(threads(), threads())
        self._batch = llama_cpp.LlamaBatch(n_tokens=min(PART, context), embd=0, n_seq_max=1)
        self._name = path.name

    def ends(self, token: int) -> bool:
        """Whether an answer is over at this token."""
        return bool(self._model.get_vocab().is_eog(token))

    def log_probabilities(
        self, tokens: Sequence[int], places: Sequence[int]
    ) -> NDArray[np.float32]:
        """For each of these places (from 1 on), of every token of the vocabulary: how likely it was there."""
        rows: list[Any] = []
        self._context.kv_cache_clear()
        asked = {place - 1 for place in places}
        for begin in range(0, places[-1], PART):
            self._batch.reset()
            part = range(begin, min(begin + PART, places[-1]))
            for place in part:
                self._batch.add(tokens[place], place, [0], place in asked)
            try:
                self._context.decode(self._batch)
            except (RuntimeError, ValueError) as error:
                raise Refused(
                    "The GGUF does not read",
                    f"llama.cpp gives up on {len(tokens)} tokens with {self._name}: {error}",
                ) from error
            rows += [
                np.array(self._context.get_logits_ith(number), dtype=np.float32)
                for number, place in enumerate(part)
                if place in asked
            ]
        return log_softmax(np.stack(rows))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Give the memory back."""
        self._context.close()
        self._model.close()


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits as log-probabilities, row by row."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: NDArray[np.float32] = shifted - np.log(
        np.exp(shifted).sum(axis=-1, keepdims=True, dtype=np.float64)
    ).astype(np.float32)
    return result
