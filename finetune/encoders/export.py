"""An encoder's Hugging Face folder (BERT, RoBERTa, XLM-R) becomes one ONNX file that says all of itself.

The file's metadata hold what else is needed to make vectors of texts: `tokenizer.json` whole, `pooling` (`mean` or
`cls`; the file's own graph does it, and makes each vector of length 1), `context_length` with the marks that the
tokenizer puts around a text, `architecture` and `parameters`.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from finetune.bases.tensors import Tensor, tensors_of
from finetune.encoders.graph import Graph, Linear, Norm
from finetune.job.files import sync_file, sync_folder
from finetune.job.stage import StageFailed

FIRST_PLACE = {"bert": 0, "roberta": 2, "xlm-roberta": 2}
"""The kinds of encoder, and where in the table of places each one's first token stands."""
PREFIXES = ("", "bert.", "roberta.")
"""What stands before the names of the weights."""
POOLING = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}


@dataclass(frozen=True, slots=True)
class Parts:
    """What an encoder is made of: Hugging Face's configuration, `tokenizer.json` and weights in 32 bits."""

    title: str
    config: Mapping[str, Any]
    tokenizer: str
    tensors: Mapping[str, Tensor]
    pooling: str = "mean"


def export(folder: Path, out: Path) -> Path:
    """Write `out` whole or not at all. Raises `StageFailed`."""
    config = _json(folder / "config.json")
    if config.get("model_type") not in FIRST_PLACE or config.get("hidden_act") != "gelu":
        raise StageFailed(
            "Not an encoder",
            f"{folder.name} is of the kind {config.get('model_type')!r} with {config.get('hidden_act')!r}; "
            f"{', '.join(FIRST_PLACE)} with 'gelu' can be exported.",
        )
    files = sorted(folder.glob("*.safetensors"))
    tensors = {name: tensor for file in files for name, tensor in tensors_of(file)}
    tokenizer = folder / "tokenizer.json"
    if not tokenizer.is_file():
        raise StageFailed("Tokenizer missing", "The folder's files hold no tokenizer.json.")
    parts = Parts(folder.name, config, tokenizer.read_text("utf-8"), tensors, _pooling(folder))
    return write(parts, out)


def write(parts: Parts, out: Path) -> Path:
    """The same of parts that come another way."""
    model = _encoder(parts, _Weights(parts.tensors))
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        onnx.save(model, temporary)
        sync_file(temporary)
        temporary.replace(out)
        sync_folder(out.parent)
    finally:
        temporary.unlink(missing_ok=True)
    return out


def _encoder(parts: Parts, weights: "_Weights") -> onnx.ModelProto:
    config = parts.config
    graph, epsilon = Graph(), float(config["layer_norm_eps"])
    first = FIRST_PLACE[config["model_type"]]
    places = weights["embeddings.position_embeddings.weight"][first:]
    places = places + weights["embeddings.token_type_embeddings.weight"][0]
    tokens = weights["embeddings.word_embeddings.weight"]
    x = graph.embedding(tokens, places, weights.norm("embeddings.LayerNorm", epsilon))
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}"
        three = [weights.linear(f"{layer}.attention.self.{n}") for n in ("query", "key", "value")]
        together = Linear(*(np.concatenate(one) for one in zip(*three, strict=True)))
        output = weights.linear(f"{layer}.attention.output.dense")
        seen = graph.attention(x, together, output, config["num_attention_heads"])
        norm = weights.norm(f"{layer}.attention.output.LayerNorm", epsilon)
        x = graph.normalised(graph.added(seen, x), norm)
        wider = weights.linear(f"{layer}.intermediate.dense")
        thought = graph.feed_forward(x, wider, weights.linear(f"{layer}.output.dense"))
        x = graph.normalised(
            graph.added(thought, x), weights.norm(f"{layer}.output.LayerNorm", epsilon)
        )
    about = {
        "title": parts.title,
        "architecture": str(config["model_type"]),
        "context_length": str(len(places)),
        "parameters": str(weights.used),
        "pooling": parts.pooling,
        "tokenizer.json": parts.tokenizer,
    }
    return graph.model(graph.pooled(x, parts.pooling), tokens.shape[1], about)


class _Weights:
    """Tensors by the names that BERT gives them; `used` counts the parameters that were asked for."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors
        self.used = 0

    def __getitem__(self, name: str) -> Tensor:
        for prefix in PREFIXES:
            if (tensor := self._tensors.get(prefix + name)) is not None:
                self.used += tensor.size
                return tensor
        raise StageFailed("Weights missing", f"There are no weights named {name}.")

    def linear(self, name: str) -> Linear:
        return Linear(self[f"{name}.weight"], self[f"{name}.bias"])

    def norm(self, name: str, epsilon: float) -> Norm:
        return Norm(self[f"{name}.weight"], self[f"{name}.bias"], epsilon)


def _pooling(folder: Path) -> str:
    """What sentence-transformers was told; the mean where nothing is said."""
    said = folder / "1_Pooling" / "config.json"
    modes = [mode for mode, on in _json(said).items() if on is True] if said.exists() else []
    known = [POOLING[mode] for mode in modes if mode in POOLING] or ["mean"]
    return known[0]


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise StageFailed("Not a model folder", f"{path.name} cannot be read: {error}.") from error
    return found if isinstance(found, dict) else {}
