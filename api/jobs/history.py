"""What a job has told so far, read backwards: its events in pages, the newest first, and its checkpoints."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from api.jobs.choosing import checkpoints
from finetune.job.directory import JobDirectory
from finetune.job.events import START, Event, Place


@dataclass(frozen=True, slots=True)
class Kept:
    """A checkpoint: the losses at its step on the rows that are learned and on those that are held out, where they are
    known; when it was kept, and whether it is the one that is exported.
    """

    step: int
    train_loss: float | None
    eval_loss: float | None
    at: str | None
    exported: bool


def newest_events(job: JobDirectory, before: int | None, limit: int) -> tuple[list[Event], bool]:
    """At most `limit` events before number `before` (None: all), newest first; and whether there are earlier ones."""
    end = job.last_place().lines + 1
    end = end if before is None else max(1, min(before, end))
    begin = max(1, end - limit)
    found = [one for one in _events(job, job.place_before(begin), end) if one.number >= begin]
    return found[::-1], begin > 1


def kept_checkpoints(job: JobDirectory) -> list[Kept]:
    """What was kept, newest first."""
    losses: dict[int, float] = {}
    times: dict[int, str] = {}
    for event in _events(job, START):
        step: Any = event.fields.get("step")
        if event.stage == "train" and event.type == "checkpoint":
            times[step] = event.at
        elif event.stage == "train" and event.fields.get("loss") is not None:
            losses[step] = event.fields["loss"]
    kept = [
        Kept(
            point["step"],
            losses.get(point["step"]),
            point.get("eval_loss"),
            times.get(point["step"]),
            point["exported"],
        )
        for point in checkpoints(job)
    ]
    return kept[::-1]


def _events(job: JobDirectory, place: Place, end: int | None = None) -> Iterator[Event]:
    """From a place on, up to the event of number `end`."""
    while end is None or place.lines + 1 < end:
        events, behind = job.some_events(place)
        if behind == place:
            return
        place = behind
        yield from (one for one in events if end is None or one.number < end)
