"""Writes a GGUF file again with something wrong in it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetune import gguf_file

Array = NDArray[np.float32]
Change = Callable[[str, Array], Array]


def rewritten(
    source: Path,
    target: Path,
    *,
    fields: Mapping[str, Any] | None = None,
    without: tuple[str, ...] = (),
    weights: Change | None = None,
) -> Path:
    """The F16 file of `source`, with other fields, without some, or with other weights."""
    gguf_file.llama_cpp_folder()
    import gguf

    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture" or name in without:
            continue
        kind, *inner = field.types
        value = (fields or {}).get(name, field.contents())
        writer.add_key_value(name, value, kind, inner[-1] if inner else None)
    for tensor in reader.tensors:
        data = tensor.data
        if weights is not None:
            data = weights(tensor.name, data.astype(np.float32)).astype(data.dtype)
        writer.add_tensor(tensor.name, np.ascontiguousarray(data))
    target.unlink(missing_ok=True)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def whole(contents: gguf_file.Contents, name: str) -> Array:
    """A tensor, unpacked."""
    rows: Array = np.concatenate(list(contents.rows(name)))
    return rows


def noisy(share: float) -> Change:
    """Noise of that share of each matrix's size."""
    random = np.random.default_rng(7)

    def change(name: str, data: Array) -> Array:
        del name
        if data.ndim < 2:
            return data
        noise: Array = random.standard_normal(data.shape).astype(np.float32)
        return data + np.float32(share * float(data.std())) * noise

    return change


def only(part: str, change: Callable[[Array], Array]) -> Change:
    """A change of the tensors whose name holds a part."""
    return lambda name, data: change(data.copy()) if part in name else data


def learned_times(base: Path, factor: float) -> Change:
    """What was learned, that many times: the rest is the base's."""
    contents = gguf_file.Contents(base)

    def change(name: str, data: Array) -> Array:
        before = whole(contents, name).reshape(data.shape)
        return before + np.float32(factor) * (data - before)

    return change


def swapped(source: Path, one: str, other: str) -> Change:
    """Two tensors in each other's place."""
    contents = gguf_file.Contents(source)
    places = {one: other, other: one}

    def change(name: str, data: Array) -> Array:
        if name not in places:
            return data
        return whole(contents, places[name]).reshape(data.shape)

    return change
