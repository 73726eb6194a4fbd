"""A model's manifest: what the registry writes down of a model beside its weights."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from api.runtime import Persona, TrainedFrom, personas


@dataclass(frozen=True, slots=True)
class Entry:
    """One model: its name, its weights and what makes it more than them.

    `base` is the name that a persona was made from, `trained_from` what a fine-tune was. With a `projector`, a file
    beside the weights, it sees.
    """

    name: str
    blob: str
    persona: Persona
    base: str | None
    embeds: bool
    created_at: datetime
    manifest: str
    trained_from: TrainedFrom | None = None
    projector: str = ""

    @property
    def files(self) -> tuple[str, ...]:
        """The names of all that it is made of, the weights first."""
        return (self.blob, self.projector) if self.projector else (self.blob,)


def written(entry: Entry) -> dict[str, Any]:
    """The manifest of a model, as it is written."""
    return {
        "name": entry.name,
        "blob": entry.blob,
        "projector": entry.projector,
        "base": entry.base,
        "trained_from": entry.trained_from and entry.trained_from._asdict(),
        "embeds": entry.embeds,
        "created_at": entry.created_at.isoformat(),
        **personas.written(entry.persona),
    }


def parsed(path: Path) -> Entry:
    """Read a manifest; `ValueError`, `KeyError` or `TypeError` when it is none."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    persona = personas.parsed(content)
    created_at = datetime.fromisoformat(content["created_at"])
    blob, projector = str(content["blob"]), str(content.get("projector", ""))
    if Path(blob).name != blob or Path(projector).name != projector:
        raise ValueError("the weights are no plain file name")
    embeds = bool(content["embeds"])
    name = str(content["name"])
    told = content.get("trained_from")
    trained_from = _trained_from(told) if told else None
    base = content["base"]
    return Entry(name, blob, persona, base, embeds, created_at, path.name, trained_from, projector)


def _trained_from(told: dict[str, Any]) -> TrainedFrom:
    lineage = told.get("lineage")
    return TrainedFrom(
        str(told["base"]), str(told["root"]), lineage if isinstance(lineage, dict) else None
    )
