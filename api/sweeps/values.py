"""What a sweep is: what it tries, how far it is, and what each of its runs came to."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from api.data_folder.shelf import read_card
from api.store.jobs import Job
from api.sweeps.search import Method, Parameters, Space
from finetune.data.rows import Fold

Status = Literal["running", "succeeded", "cancelled", "failed"]


@dataclass(frozen=True, slots=True)
class Sweep:
    """`sweep.json`. `trials` holds the job and the parameters of each run that was queued, in their order."""

    id: str
    status: Status
    model: str
    base_model: str | None
    datasets: Mapping[Fold, str]
    method: Method
    space: Mapping[str, Any]
    runs: int
    settings: Mapping[str, Any]
    seed: int
    created_at: str
    trials: tuple[tuple[str, Parameters], ...] = ()
    error: str = ""

    def card(self) -> dict[str, Any]:
        """As it is written."""
        return asdict(self)

    def with_trial(self, job_id: str, parameters: Parameters) -> "Sweep":
        """With one more run."""
        return replace(self, trials=(*self.trials, (job_id, parameters)))

    def child_name(self, number: int) -> str:
        """The name of the model that run `number`, counted from 0, would publish."""
        return f"{self.model}-{number + 1:02}"


def from_card(id: str, card: Mapping[str, Any]) -> Sweep:
    """What `card` wrote; `errors.NotFound` where that was damaged by hand."""

    def read() -> Sweep:
        trials = tuple((job, dict(parameters)) for job, parameters in card["trials"])
        return Sweep(**{**card, "id": id, "trials": trials})

    return read_card("sweep", id, read)


@dataclass(frozen=True, slots=True)
class Trial:
    """One run: its job's status, and the loss on held-out rows of the checkpoint it would export."""

    job_id: str
    parameters: Parameters
    status: str
    eval_loss: float | None
    seconds: float | None


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """The one of the lowest loss."""
    judged = [trial for trial in trials if trial.eval_loss is not None]
    return min(judged, key=lambda trial: trial.eval_loss or 0.0, default=None)


def is_over(job: Job) -> bool:
    """Whether nothing more comes of a run by itself."""
    return job.status not in ("queued", "running", "publishing")


def space_of(card: Mapping[str, Any]) -> Space:
    """The search space that a card holds."""
    from pydantic import TypeAdapter

    return TypeAdapter(Space).validate_python(card)
