"""What a run will need on its machine, whether it fits, and with which settings it would fit or be faster."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from finetune.job.hardware import Hardware
from finetune.job.spec import FineTuneSpec
from finetune.preflight import formula
from finetune.preflight.base import Base
from finetune.preflight.formula import Amount, Needs
from finetune.preflight.history import Experience, Record, as_json, experience
from finetune.preflight.room import gib

SURE = 0.85
"""A prediction may be so far too high: what is above even then is refused, what may be above is a warning."""
FASTER = 0.9
"""Settings that take at most so much of the time are named."""
ROOM = 0.9
"""Settings that are recommended take at most so much of what there is."""
LEAST_LENGTH, LEAST_RANK = 128, 4

Resource = Literal["vram", "ram", "disk"]
RESOURCES: Mapping[Resource, str] = {"vram": "GPU memory", "ram": "RAM", "disk": "disk"}


@dataclass(frozen=True, slots=True)
class Shortfall:
    """More is needed than there is; `stage` says where, but for the disk."""

    resource: Resource
    stage: str | None
    needed_bytes: int
    available_bytes: int

    @property
    def is_sure(self) -> bool:
        """Whether it does not fit even if the prediction is too high."""
        return self.needed_bytes * SURE > self.available_bytes

    def __str__(self) -> str:
        where = f" for stage {self.stage}" if self.stage else ""
        return (
            f"{gib(self.needed_bytes)} of {RESOURCES[self.resource]}{where} are needed, "
            f"{gib(self.available_bytes)} are there"
        )


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Other settings, and what the run would need with them."""

    settings: Mapping[str, Any]
    needs: Needs

    def as_json(self) -> dict[str, Any]:
        """As it is shown."""
        return {
            "settings": dict(self.settings),
            "memory_bytes": self.needs.vram or max(self.needs.ram.values()),
            "disk_bytes": self.needs.disk,
            "total_seconds": round(self.needs.total_seconds, 1),
        }


class Forecast:
    """The formula for one run, corrected by what runs like it have needed on this machine."""

    def __init__(
        self,
        base: Base,
        spec: FineTuneSpec,
        amount: Amount,
        machine: Hardware,
        records: Sequence[Record] = (),
    ) -> None:
        self._base, self._spec, self._amount = base, spec, amount
        self._records = records
        self.machine = machine
        self.by_formula = formula.needs(base, spec, amount, machine)
        self._experience = self._known(spec)
        self.needs = self._experience.corrected(self.by_formula)

    def shortfalls(self, *, free: bool = False) -> list[Shortfall]:
        """What does not fit into the machine, or with `free` into what is free of it now; the disk counts as it is."""
        return list(self._short(self.needs, free=free))

    def would_fit(self) -> list[Suggestion]:
        """Settings with which it would fit: each alone if one is enough, else all together."""
        found: list[Suggestion] = []
        together: dict[str, Any] = {}
        for lever in self._levers():
            for change in lever:
                suggestion = self._with(change)
                if self._fits(suggestion.needs):
                    found.append(suggestion)
                    break
            if lever:
                together |= lever[-1]
        if not found and together and self._fits((last := self._with(together)).needs):
            found.append(last)
        return found

    def in_words(self) -> str:
        """What to do where it does not fit."""
        ways = [
            " and ".join(f"{name}={json.dumps(value)}" for name, value in one.settings.items())
            for one in self.would_fit()
        ]
        return f"It would fit with {', or with '.join(ways)}." if ways else "Use a smaller base."

    def faster(self) -> list[Suggestion]:
        """Settings with which training takes less time and that fit, the fastest first."""
        if "train" not in self.needs.seconds:  # an adapter from elsewhere
            return []
        limit = self.needs.seconds["train"] * FASTER
        tried = [self._with(change) for change in self._quicker()]
        good = [
            one for one in tried if one.needs.seconds["train"] <= limit and self._fits(one.needs)
        ]
        return sorted(good, key=lambda one: one.needs.total_seconds)

    def train_seconds(self, longest_batch_seconds: float) -> float:
        """What training takes when a batch of the longest rows was seen to take this."""
        said = self.by_formula
        steps = said.steps * said.step_seconds
        seen = longest_batch_seconds / said.longest_batch_seconds
        return said.seconds["train"] + steps * (seen - 1)

    def as_json(self) -> dict[str, Any]:
        """As it is written and shown."""
        return {
            **as_json(self.needs),
            "parameters": self._base.parameters,
            "tokens": self._amount.tokens,
            "longest_tokens": self._amount.longest,
            "machine": self.machine.kind,
            "earlier_runs": len(self._experience.alike),
            "warnings": [f"{short}." for short in self.shortfalls()],
            "faster": [one.as_json() for one in self.faster()],
        }

    @property
    def about(self) -> dict[str, Any]:
        """By what a later run is compared with this one."""
        return {
            "kind": self.machine.kind,
            "device": self.machine.device,
            "base": self._spec.base_model,
            "parameters": self._base.parameters,
            "bits": self._spec.bits,
        }

    def _known(self, spec: FineTuneSpec) -> Experience:
        return experience(
            self._records,
            kind=self.machine.kind,
            base=spec.base_model,
            parameters=self._base.parameters,
            bits=spec.bits,
        )

    def _with(self, change: Mapping[str, Any]) -> Suggestion:
        spec = self._spec.model_copy(update=dict(change))
        needs = formula.needs(self._base, spec, self._amount, self.machine)
        return Suggestion(change, self._known(spec).corrected(needs))

    def _fits(self, needs: Needs) -> bool:
        return not any(self._short(needs, free=False, room=ROOM))

    def _short(self, needs: Needs, *, free: bool, room: float = 1.0) -> Iterator[Shortfall]:
        machine = self.machine
        if needs.vram > room * machine.vram and machine.device == "gpu":
            yield Shortfall("vram", "train", needs.vram, machine.vram)
        ram = machine.ram_free if free else machine.ram
        for stage, most in needs.ram.items():
            value = most - needs.mapped.get(stage, 0)
            if value > room * ram:
                yield Shortfall("ram", stage, value, ram)
        if needs.disk > room * machine.disk_free:
            yield Shortfall("disk", None, needs.disk, machine.disk_free)

    def _levers(self) -> list[list[dict[str, Any]]]:
        """What can be turned down, each in steps."""
        spec = self._spec
        levers: list[list[dict[str, Any]]] = [
            [] if spec.gradient_checkpointing else [{"gradient_checkpointing": True}],
            [{"batch_size": size} for size in _halves(spec.batch_size, 1)],
            [
                {"max_length": length}
                for length in _halves(min(spec.max_length, self._amount.longest), LEAST_LENGTH)
            ],
            [{"bits": bits} for bits in (8, 4) if bits < spec.bits],
            [{"rank": rank} for rank in _halves(spec.rank, LEAST_RANK)],
            [{"keep_merged": False}] if spec.keep_merged else [],
            [{"quantization": spec.quantization[:1]}] if len(spec.quantization) > 1 else [],
        ]
        return levers

    def _quicker(self) -> Iterator[dict[str, Any]]:
        spec = self._spec
        if spec.bits != 16:
            yield {"bits": 16}
        if spec.gradient_checkpointing:
            yield {"gradient_checkpointing": False}
        if self.machine.device == "gpu":
            for size in (2, 4, 8, 16):
                if size > spec.batch_size:
                    yield {"batch_size": size}


def _halves(value: int, least: int) -> Iterator[int]:
    while (value := value // 2) >= least:
        yield value
