"""What each checkpoint had learned, kept until the job goes, so that any of them can be exported.

    train/kept.json                [{"step": 40, "eval_loss": 1.23}, ...], in order
    train/kept/40/                 the weights of that step: an adapter, or a whole model

Weights are linked, not copied. Of whole models only the best and the last are kept.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from finetune.job.files import link_or_copy, read_json, write_atomically
from finetune.job.stage import StageFailed

Choice = Literal["best", "last"] | int
ADAPTER = ("adapter_config.json", "adapter_model.safetensors")
LEARNED = "learned.json"
"""What is known once training is over; from then on only the choice of a checkpoint is open."""
GROWING = ".growing"
"""A checkpoint that is not whole yet, or what a process that was killed has left of it."""
_NOT_WEIGHTS = frozenset({"trainer_state.json"})


@dataclass(frozen=True, slots=True)
class Point:
    """A step at which the weights were kept, and the loss on the held-out rows there, where there are any."""

    step: int
    eval_loss: float | None


class Kept:
    """The kept checkpoints of one training."""

    def __init__(self, folder: Path) -> None:
        """`folder` is that of the stage."""
        self._folder = folder / "kept"
        self._list = folder / "kept.json"

    def points(self) -> list[Point]:
        """What was kept, in the order of its steps."""
        return [Point(**point) for point in read_json(self._list) or []]

    def there(self) -> list[Point]:
        """Those of them whose weights are there."""
        return [point for point in self.points() if (self._folder / str(point.step)).is_dir()]

    def add(self, step: int, eval_loss: float | None, checkpoint: Path) -> None:
        """Keep the weights of a whole checkpoint, in place of those of a run that did not get further."""
        target, growing = self._folder / str(step), self._folder / GROWING
        shutil.rmtree(growing, ignore_errors=True)
        growing.mkdir(parents=True)
        for path in sorted(checkpoint.iterdir()):
            if _is_weights(path):
                link_or_copy(path, growing / path.name)
        shutil.rmtree(target, ignore_errors=True)
        growing.rename(target)
        points = [point for point in self.points() if point.step < step]
        self._write([*points, Point(step, eval_loss)])
        if not (target / ADAPTER[0]).is_file():
            self._drop_all_but_best_and_last()

    def chosen(self, choice: Choice) -> tuple[Point, Path]:
        """The step that is exported, and its folder. Raises `StageFailed`."""
        there = self.there()
        if choice == "last":
            found = there[-1:]
        elif choice == "best":
            found = [best(there)] if there else []
        else:
            found = [point for point in there if point.step == choice]
        if not found:
            known = ", ".join(str(point.step) for point in there) or "none"
            wanted = f" of step {choice}" if isinstance(choice, int) else ""
            raise StageFailed(
                "No such checkpoint",
                f"No checkpoint{wanted} was kept; there are: {known}.",
            )
        return found[0], self._folder / str(found[0].step)

    def _drop_all_but_best_and_last(self) -> None:
        points = self.points()
        stays = {best(points).step, points[-1].step}
        for path in self._folder.iterdir():
            if path.name.isdecimal() and int(path.name) not in stays:
                shutil.rmtree(path)

    def _write(self, points: Sequence[Point]) -> None:
        write_atomically(self._list, json.dumps([asdict(point) for point in points]))


def best(points: Sequence[Point]) -> Point:
    """The one of the lowest loss, of equals the earliest; the last one where no loss is known."""
    judged = [point for point in points if point.eval_loss is not None]
    return min(judged, key=_loss, default=points[-1])


def has_stalled(points: Sequence[Point], patience: int) -> bool:
    """Whether the loss was lowest before the last `patience` evaluations."""
    judged = [point for point in points if point.eval_loss is not None]
    return bool(judged) and judged.index(best(judged)) < len(judged) - patience


def _loss(point: Point) -> Any:
    return point.eval_loss


def _is_weights(path: Path) -> bool:
    return path.suffix in (".safetensors", ".json") and path.name not in _NOT_WEIGHTS
