"""A base with its adapter merged in, tensor by tensor, under the names that the base's files use."""

import re
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import (
    Concatenate,
    MergeModulelist,
    WeightConverter,
    WeightRenaming,
    rename_source_key,
)

from finetune.export.changes import LowRank, Stack, adapted
from finetune.export.weights import Change, Stored, Weight, stored_in
from finetune.job.stage import StageFailed

EXPERT = re.compile(r"\.experts\.(\d+)\.")


@dataclass(frozen=True, slots=True)
class Merged:
    """The tensors, and what of the base's configuration is different with them."""

    weights: list[Weight]
    config: dict[str, Any] = field(default_factory=dict)


def merged(base: Path, adapter: Path) -> Merged:
    """Every tensor of the base, those that the adapter changes changed. Raises `StageFailed`."""
    new = adapted(base, adapter)
    stored = stored_in(base)
    names = _Names(new.model)
    places = {tensor: names.of(tensor) for tensor in stored}
    known = {place.parameter: tensor for tensor, place in places.items()}
    embedding, head = _vocabulary_weights(new.model)
    changes = dict(new.changes)
    untied = _untie(changes, known, embedding, head)
    lost = sorted(set(changes) - set(known) - ({head} if untied else set()))
    if lost:
        raise StageFailed(
            "The adapter does not fit the base",
            f"The base's files hold no tensor for {len(lost)} of the parameters it changes, first {lost[0]}.",
        )

    def weight(tensor: Stored, name: str, place: _Place) -> Weight:
        change = changes.get(place.parameter)
        rows = new.vocabulary if place.parameter in (embedding, head) else None
        if change is None and name == tensor.name and rows in (None, tensor.shape[0]):
            return tensor.weight()
        share = change and place.share(change)
        shape = (rows or tensor.shape[0], *tensor.shape[1:])
        return Weight(name, shape, torch.float16, partial(tensor.halved, share, rows))

    weights = [weight(tensor, tensor.name, place) for tensor, place in places.items()]
    config: dict[str, Any] = {}
    if untied:
        weights.append(weight(known[embedding], head, _Place(head)))
        config["tie_word_embeddings"] = False
    if embedding in known and known[embedding].shape[0] != new.vocabulary:
        config["vocab_size"] = new.vocabulary
    return Merged(weights, config)


def _vocabulary_weights(model: Any) -> tuple[str, str]:
    """Names of the embedding's weight and of the output head's, whether they are one or two."""
    names = {module: f"{name}.weight" for name, module in model.named_modules()}
    return names[model.get_input_embeddings()], names.get(model.get_output_embeddings(), "")


def _untie(changes: dict[str, Change], known: dict[str, Stored], embedding: str, head: str) -> bool:
    """Whether the files hold the head as the embedding alone, and the adapter makes two of them."""
    if head in known or embedding not in known or not {embedding, head} & set(changes):
        return False
    one, two = (getattr(changes.get(name), "values", None) for name in (embedding, head))
    if one is not None and two is not None and torch.equal(one, two):
        del changes[head]
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a tensor of the files stands in the model: in a parameter, as all of it or as one expert's rows."""

    parameter: str
    expert: int | None = None
    first: int = 0
    last: int = 0

    def share(self, change: Change) -> Change:
        """What of the parameter's change is this tensor's."""
        if self.expert is None:
            return change
        if not isinstance(change, Stack):
            raise StageFailed("Adapter unusable", f"{self.parameter} is changed in an unknown way.")
        one: LowRank = change.each[self.expert]
        return one.rows(self.first, self.last)


class _Names:
    """From the names of the files to those of the model, as transformers reads them."""

    def __init__(self, model: PreTrainedModel) -> None:
        mapping = get_model_conversion_mapping(model)
        self._renamings = [one for one in mapping if isinstance(one, WeightRenaming)]
        self._converters = [one for one in mapping if isinstance(one, WeightConverter)]
        self._by_pattern = {
            pattern: one for one in self._converters for pattern in one.source_patterns
        }
        self._prefix = model.base_model_prefix
        self._there = model.state_dict()

    def of(self, tensor: Stored) -> _Place:
        """Its place."""
        name, pattern = rename_source_key(
            tensor.name, self._renamings, self._converters, self._prefix, self._there
        )
        if name not in self._there and tensor.name in self._there:
            name, pattern = tensor.name, None
        if pattern is None:
            return _Place(name)
        converter = self._by_pattern[pattern]
        found = EXPERT.search(tensor.name)
        kinds = [type(operation) for operation in converter.operations]
        if found is None or kinds not in ([MergeModulelist], [MergeModulelist, Concatenate]):
            return _Place(f"{name} (stored in another form)")
        first = list(converter.source_patterns).index(pattern) * tensor.shape[0]
        return _Place(name, int(found.group(1)), first, first + tensor.shape[0])
