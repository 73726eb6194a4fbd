"""What an adapter does to each parameter of its base, as PEFT understands the adapter.

PEFT builds the adapter on a model of the base's shape that has no weights: each parameter is one zero, seen in the
parameter's shape. So its own code reads every form of adapter, and the weights stay on the disk.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from peft import LoraConfig, PeftModel
from peft.tuners.lora.layer import Embedding, LoraLayer, ParamWrapper
from peft.utils.other import ModulesToSaveWrapper, TrainableTokensWrapper
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from finetune.export.weights import Change
from finetune.job.stage import StageFailed
from finetune.preflight.arrived import CHANGES_BASE

ADAPTER = "default"


@dataclass(frozen=True, slots=True)
class LowRank:
    """scale * left @ right is added."""

    in_parts: ClassVar[bool] = True
    left: torch.Tensor
    right: torch.Tensor
    scale: float

    def apply(self, part: torch.Tensor, first: int) -> None:
        """Add to these rows."""
        part.addmm_(self.left[first : first + len(part)], self.right, alpha=self.scale)

    def rows(self, first: int, last: int) -> "LowRank":
        """The same for a tensor that holds these rows alone."""
        return dataclasses.replace(self, left=self.left[first:last])


@dataclass(frozen=True, slots=True)
class Stack:
    """A change for each of the matrices that one parameter stacks, as for the experts of a mixture."""

    in_parts: ClassVar[bool] = True
    each: tuple[LowRank, ...]

    def apply(self, part: torch.Tensor, first: int) -> None:
        """Change these matrices."""
        for matrix, change in zip(part, self.each[first : first + len(part)], strict=True):
            change.apply(matrix, 0)


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows are others."""

    in_parts: ClassVar[bool] = True
    numbers: tuple[int, ...]
    values: torch.Tensor

    def apply(self, part: torch.Tensor, first: int) -> None:
        """Put those among these rows."""
        for number, value in zip(self.numbers, self.values, strict=True):
            if first <= number < first + len(part):
                part[number - first] = value


@dataclass(frozen=True, slots=True)
class Replaced:
    """All rows are others."""

    in_parts: ClassVar[bool] = True
    values: torch.Tensor

    def apply(self, part: torch.Tensor, first: int) -> None:
        """Put them."""
        part.copy_(self.values[first : first + len(part)])


@dataclass(frozen=True, slots=True)
class Whole:
    """PEFT's own merge of one layer, for what needs the whole matrix (the norms of DoRA)."""

    in_parts: ClassVar[bool] = False
    layer: Any

    def apply(self, part: torch.Tensor, first: int) -> None:
        """Change the whole matrix; rows of it alone would have other norms."""
        del first
        base = self.layer.get_base_layer()
        nothing = base.weight
        base.weight = torch.nn.Parameter(part, requires_grad=False)
        try:
            self.layer.merge(safe_merge=False, adapter_names=[ADAPTER])
            part.copy_(base.weight.data)
        finally:
            base.weight = nothing
            self.layer.merged_adapters.clear()


def skeleton(config: Any) -> Any:
    """The model without its weights."""
    with torch.device("meta"):
        kind: Any = AutoModelForCausalLM
        model: Any = kind.from_config(config, dtype=torch.float32)
    _empty(model)
    return model


def _empty(model: torch.nn.Module) -> None:
    nothing = torch.zeros(())
    seen: dict[int, torch.nn.Parameter] = {}  # tied ones stay tied
    for module in model.modules():
        for name, old in list(module.named_parameters(recurse=False)):
            seen.setdefault(
                id(old), torch.nn.Parameter(nothing.expand(old.shape), requires_grad=False)
            )
            setattr(module, name, seen[id(old)])


@dataclass(frozen=True, slots=True)
class Adapted:
    """The model without weights, with the vocabulary that the adapter wants, and the changes by parameter."""

    model: PreTrainedModel
    changes: dict[str, Change]
    vocabulary: int


def adapted(base: Path, adapter: Path) -> Adapted:
    """Read an adapter for a base. Raises `StageFailed` when it does not belong to it."""
    config = AutoConfig.from_pretrained(str(base), local_files_only=True, trust_remote_code=False)
    lora = lora_config(adapter)
    model = skeleton(config)
    rows = _vocabulary(model, lora, adapter)
    if rows != model.get_input_embeddings().weight.shape[0]:
        with torch.device("meta"):
            model.resize_token_embeddings(rows, mean_resizing=False)
        _empty(model)
    plain = skeleton(model.config)
    changes = dict(_changes(_with_adapter(model, lora, adapter)))
    return Adapted(plain, changes, rows)


def lora_config(adapter: Path) -> Any:
    """The adapter's settings. Raises `StageFailed` for what cannot be merged from its files alone."""
    try:
        config: Any = LoraConfig.from_pretrained(str(adapter))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StageFailed("Adapter unusable", f"adapter_config.json: {error}") from error
    kind = getattr(config.peft_type, "value", config.peft_type)
    begun = str(config.init_lora_weights).lower()
    if kind != "LORA":
        raise StageFailed("Adapter unusable", f"It is of type {kind}; LoRA can be merged.")
    if begun.startswith(CHANGES_BASE):
        raise StageFailed(
            "Adapter unusable",
            f"It began with init_lora_weights={begun!r}, which changes the base too. Save it as a LoRA of the "
            "unchanged base (PEFT: path_initial_model_for_weight_conversion).",
        )
    if config.bias != "none" or getattr(config, "lora_bias", False):
        raise StageFailed("Adapter unusable", "It trains biases; only matrices can be merged.")
    config.init_lora_weights = True
    config.inference_mode = True
    return config


def _vocabulary(model: Any, lora: Any, adapter: Path) -> int:
    """Rows of the embedding once the adapter is on it: it may bring tokens of its own."""
    embedding = model.get_input_embeddings()
    name = next(name for name, module in model.named_modules() if module is embedding)
    rows = int(embedding.weight.shape[0])
    tokens = lora.trainable_token_indices or []
    for numbers in tokens.values() if isinstance(tokens, dict) else [tokens]:
        rows = max([rows, *(number + 1 for number in numbers)])
    try:
        with safe_open(str(adapter / "adapter_model.safetensors"), "pt") as file:
            for key in file.keys():  # noqa: SIM118  # it is no mapping
                if key.endswith((f".{name}.weight", f".{name}.base_layer.weight")):
                    rows = int(file.get_slice(key).get_shape()[0])
    except (OSError, SafetensorError) as error:
        raise StageFailed(
            "Adapter unusable", f"adapter_model.safetensors cannot be read: {error}"
        ) from error
    return rows


def _with_adapter(model: Any, lora: Any, adapter: Path) -> torch.nn.Module:
    try:
        peft: Any = PeftModel(model, lora, ADAPTER)
        _make_room(peft, adapter)
        result = peft.load_adapter(
            str(adapter), ADAPTER, torch_device="cpu", autocast_adapter_dtype=False
        )
    except (ValueError, RuntimeError, KeyError) as error:
        raise StageFailed(
            "The adapter does not fit the base", " ".join(str(error).split())[:1000]
        ) from error
    if result.unexpected_keys:
        raise StageFailed(
            "The adapter does not fit the base",
            f"The base has no place for {len(result.unexpected_keys)} tensors of it, first "
            f"{result.unexpected_keys[0]}.",
        )
    missing = [key for key in result.missing_keys if "lora_" in key]
    if missing:
        raise StageFailed(
            "The adapter does not fit the base",
            f"It holds no values for {len(missing)} of the layers it names, first {missing[0]}.",
        )
    return peft.base_model.model  # type: ignore[no-any-return]


def _make_room(peft: torch.nn.Module, adapter: Path) -> None:
    """Weights for those layers of the base that the adapter's file holds whole: PEFT saves an embedding so."""
    layers = dict(peft.named_modules())
    with safe_open(str(adapter / "adapter_model.safetensors"), "pt") as file:
        for key in file.keys():  # noqa: SIM118  # it is no mapping
            layer: Any = layers.get(key.removesuffix(".weight"))
            if key.endswith(".base_layer.weight") and layer is not None:
                layer.weight = torch.nn.Parameter(
                    torch.zeros(layer.weight.shape), requires_grad=False
                )


def _is_there(weight: torch.Tensor) -> bool:
    return weight.untyped_storage().nbytes() >= weight.numel() * weight.itemsize


def _changes(model: torch.nn.Module) -> Iterator[tuple[str, Change]]:
    """By the name that the parameter has in the base."""
    for path, module in model.named_modules():
        name = path.replace(".base_layer", "")
        if isinstance(module, ParamWrapper):
            yield f"{name}.{module.parameter_name}", _of_parameter(module)
        elif isinstance(module, ModulesToSaveWrapper):
            for part, values in module.modules_to_save[ADAPTER].named_parameters():
                yield f"{name}.{part}", Replaced(values.data)
        elif isinstance(module, TrainableTokensWrapper):
            tokens = module.token_adapter
            numbers = tuple(tokens.token_indices[ADAPTER])
            yield f"{name}.weight", Rows(numbers, tokens.trainable_tokens_delta[ADAPTER].data)
        elif isinstance(module, LoraLayer) and ADAPTER in module.scaling:
            base = _base(module)
            change = _of_layer(module)
            if _is_there(base):
                change.apply(base, 0)
                change = Replaced(base)
            yield f"{name}.weight", change


def _base(layer: Any) -> torch.Tensor:
    weight: torch.Tensor = layer.get_base_layer().weight.data
    return weight


def _of_parameter(layer: Any) -> Change:
    if layer.num_experts == 1:
        return LowRank(
            layer.lora_B[ADAPTER].weight.data,
            layer.lora_A[ADAPTER].weight.data,
            layer.scaling[ADAPTER],
        )
    left, right, scale = layer.get_delta_factors(ADAPTER)
    return Stack(
        tuple(LowRank(one.data, two.data, scale) for one, two in zip(left, right, strict=True))
    )


def _of_layer(layer: Any) -> Change:
    scale = layer.scaling[ADAPTER]
    if isinstance(layer, Embedding):
        if ADAPTER in layer.lora_variant:
            return Whole(layer)
        down, up = layer.lora_embedding_A[ADAPTER].data, layer.lora_embedding_B[ADAPTER].data
        return LowRank(down.T, up.T, scale)
    if ADAPTER in layer.lora_variant:
        return Whole(layer)
    down, up = layer.lora_A[ADAPTER].weight.data, layer.lora_B[ADAPTER].weight.data
    if down.dim() != 2:
        return Whole(layer)
    return LowRank(down.T, up.T, scale) if layer.fan_in_fan_out else LowRank(up, down, scale)
