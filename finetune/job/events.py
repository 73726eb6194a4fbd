"""`events.jsonl`: what a job says of itself, one JSON object a line, only ever added to."""

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

BLOCK_BYTES = 2**16
"""How much is read at once, and kept unfolded at most (`progress`): some 250 events."""


@dataclass(frozen=True, slots=True)
class Event:
    """One line: its number, counted from 1; when, which stage, what; and the fields of that type."""

    number: int
    at: str
    stage: str
    type: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place between two lines: the bytes and the lines before it."""

    offset: int
    lines: int


START = Place(0, 0)


@dataclass(frozen=True, slots=True)
class EventLog:
    """The file; readers remember their `Place` and never read a line twice."""

    path: Path

    def append(self, stage: str, type: str, fields: Mapping[str, Any]) -> bool:
        """Add one event in a single write, so lines of several processes do not mix; whether it began a block."""
        line = _line(datetime.now(UTC).isoformat(timespec="milliseconds"), stage, type, fields)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, 0o644)
        try:
            os.write(descriptor, line)
            size = os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
        return size // BLOCK_BYTES != (size - len(line)) // BLOCK_BYTES

    def begin(self, events: Iterable[Event]) -> None:
        """Start the file with events of another one, each at its own time."""
        lines = (_line(one.at, one.stage, one.type, one.fields) for one in events)
        self.path.write_bytes(b"".join(lines))

    def size(self) -> int:
        """Bytes there are."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def read(self, place: Place, most_bytes: int = -1) -> tuple[list[Event], Place]:
        """Events from a place on, about `most_bytes` of them, and the place behind them.

        A line that is not whole yet waits; one that is no event has a number and is passed over.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(place.offset)
                data = file.read(most_bytes)
                if not data.endswith(b"\n"):
                    data += file.readline()
        except FileNotFoundError:
            return [], place
        whole, newline, _ = data.rpartition(b"\n")
        lines = whole.split(b"\n") if newline else []
        found = (_event(place.lines + count, line) for count, line in enumerate(lines, 1))
        behind = Place(place.offset + len(whole) + len(newline), place.lines + len(lines))
        return [event for event in found if event is not None], behind


def _event(number: int, line: bytes) -> Event | None:
    try:
        fields = json.loads(line)
        return Event(number, fields.pop("at"), fields.pop("stage"), fields.pop("type"), fields)
    except (ValueError, KeyError, AttributeError, TypeError):
        return None


def _line(at: str, stage: str, type: str, fields: Mapping[str, Any]) -> bytes:
    told = {name: _finite(value) for name, value in fields.items()}
    event = {"at": at, "stage": stage, "type": type, **told}
    return (json.dumps(event, allow_nan=False, default=str) + "\n").encode()


def _finite(value: object) -> object:
    """JSON knows no infinity, and no number that is none."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
