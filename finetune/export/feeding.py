"""Hands llama.cpp's converter tensors one at a time as it writes them, in place of a folder's files."""

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from finetune.export.weights import Weight


@contextlib.contextmanager
def fed(weights: Sequence[Weight]) -> Iterator[None]:
    """While this lasts the converter finds these tensors, whatever weights the folder holds."""
    from conversion import base

    model: Any = base.ModelBase
    lazy: Any = base.LazyTorchTensor
    by_files = model.index_tensors

    def make(weight: Weight) -> Any:
        meta = lazy.meta_with_dtype_and_shape(weight.dtype, weight.shape)
        return lazy(meta=meta, func=weight.load)

    def index(self: Any, remote_hf_model_id: str | None = None) -> dict[str, Any]:
        del remote_hf_model_id
        found = (self.filter_tensors((one.name, partial(make, one))) for one in weights)
        return dict(one for one in found if one)

    model.index_tensors = index
    try:
        yield
    finally:
        model.index_tensors = by_files
