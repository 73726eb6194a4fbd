"""What runs on these machines really needed, beside what the formula said: the next prediction is corrected by it.

One line a run in `.history.jsonl` beside the jobs. Deleting it forgets; a line that cannot be read is passed over.
"""

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from finetune.preflight.formula import Needs

FILE = ".history.jsonl"
MOST_RECORDS = 500
DOUBT = 0.15
"""How much the formula itself counts beside runs that are alike."""
LARGEST = 8.0
"""No correction is more than this, up or down: such a run was something else."""


@dataclass(frozen=True, slots=True)
class Record:
    """A run: where, of which base, and each figure as the formula gave it and as it was. Figures have names like
    `ram.train` and `seconds.quantize`.
    """

    kind: str
    device: str
    base: str
    parameters: int
    bits: int
    formula: Mapping[str, float]
    real: Mapping[str, float]
    job: str = ""
    at: str = ""


def figures(needs: Needs) -> dict[str, float]:
    """The figures of a prediction by name."""
    named: dict[str, float] = {f"ram.{stage}": value for stage, value in needs.ram.items()}
    named |= {f"seconds.{stage}": value for stage, value in needs.seconds.items()}
    return named | {"vram": needs.vram, "disk": needs.disk, "step_seconds": needs.step_seconds}


def read(jobs_dir: Path) -> list[Record]:
    """The latest runs, oldest first; of one that ended several times the last end."""
    try:
        lines = (jobs_dir / FILE).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = (_record(line) for line in lines[-MOST_RECORDS:])
    last: dict[str, Record] = {}
    for number, record in enumerate(found):
        if record is not None:
            key = record.job or str(number)
            last.pop(key, None)
            last[key] = record
    return list(last.values())


def _record(line: str) -> Record | None:
    known = {one.name for one in fields(Record)}
    try:
        said = json.loads(line)
        record = Record(**{name: value for name, value in said.items() if name in known})
        for part in (record.formula, record.real):
            if not all(isinstance(value, int | float) for value in part.values()):
                return None
    except (ValueError, TypeError, AttributeError):
        return None
    return record if record.parameters > 0 else None


def add(jobs_dir: Path, record: Record) -> None:
    """Remember a run, in one write."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    line = json.dumps(asdict(replace(record, at=at))) + "\n"
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    descriptor = os.open(jobs_dir / FILE, flags, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Experience:
    """The runs that a prediction can learn from, each with how much it is like the run to come."""

    alike: tuple[tuple[float, Record], ...] = field(default=())

    def factor(self, figure: str) -> float:
        """What the formula's figure is to be multiplied by; 1 when nothing is known."""
        total = shift = 0.0
        for weight, record in self.alike:
            said, was = record.formula.get(figure, 0), record.real.get(figure, 0)
            if said > 0 and was > 0 and 1 / LARGEST <= was / said <= LARGEST:
                total += weight
                shift += weight * math.log(was / said)
        return math.exp(shift / (total + DOUBT)) if total else 1.0

    def corrected(self, needs: Needs) -> Needs:
        """The prediction as these runs would have it."""
        return replace(
            needs,
            ram={s: int(v * self.factor(f"ram.{s}")) for s, v in needs.ram.items()},
            seconds={s: v * self.factor(f"seconds.{s}") for s, v in needs.seconds.items()},
            vram=int(needs.vram * self.factor("vram")),
            disk=int(needs.disk * self.factor("disk")),
            step_seconds=needs.step_seconds * self.factor("step_seconds"),
        )


def experience(
    records: Iterable[Record], *, kind: str, base: str, parameters: int, bits: int
) -> Experience:
    """Those on machines of this kind; the nearer in size, bits and time, the more one counts."""
    alike = []
    for age, record in enumerate(reversed(list(records))):
        if record.kind != kind:
            continue
        weight = math.exp(-abs(math.log(record.parameters / parameters))) * 0.97**age
        weight *= 1.0 if record.bits == bits else 0.4
        weight *= 1.0 if record.base == base else 0.7
        alike.append((weight, record))
    return Experience(tuple(alike))


def as_json(needs: Needs) -> dict[str, Any]:
    """A prediction as it is written and shown."""
    return {
        "ram_bytes": dict(needs.ram),
        "vram_bytes": needs.vram or None,
        "disk_bytes": needs.disk,
        "left_bytes": needs.left,
        "seconds": {stage: round(value, 1) for stage, value in needs.seconds.items()},
        "total_seconds": round(needs.total_seconds, 1),
        "step_seconds": round(needs.step_seconds, 4),
        "steps": needs.steps,
        "memory_of": dict(needs.parts),
    }
