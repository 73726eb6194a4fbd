"""What trains now, and on which device: no model is loaded there meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from api.errors import DeviceInUse
from finetune.job.device import Device

UNKNOWN_SECONDS = 60
MOST_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Training:
    """A job that has a device to itself; `ends_at` is an estimate, None while there is none."""

    job_id: str
    device: Device
    ends_at: datetime | None = None


class Reserved:
    """The devices that trainings have to themselves."""

    def __init__(self) -> None:
        self._trainings: tuple[Training, ...] = ()

    def set(self, trainings: Sequence[Training]) -> None:
        """These train now, and no other."""
        self._trainings = tuple(trainings)

    def __bool__(self) -> bool:
        """Whether anything trains."""
        return bool(self._trainings)

    def require_free(self, device: Device) -> None:
        """`errors.DeviceInUse` when a job trains on the device. A CPU is never used up: it serves both."""
        for training in self._trainings:
            if training.device == device != "cpu":
                raise _in_use(training)


def _in_use(training: Training) -> DeviceInUse:
    seconds, until, extra = UNKNOWN_SECONDS, "; it does not say yet for how long", {}
    if training.ends_at is not None:
        left = (training.ends_at - datetime.now(UTC)).total_seconds()
        seconds = min(MOST_SECONDS, max(1, round(left)))
        until = f", until about {training.ends_at:%Y-%m-%d %H:%M} UTC"
        extra = {"until": training.ends_at.isoformat(timespec="seconds")}
    return DeviceInUse(
        f"Job {training.job_id} trains on the {training.device.upper()}, and no model is loaded there "
        f"meanwhile{until}. Ask again then, or cancel the job. Where both fit, set "
        "LLM_FASTAPI_CHAT_WHILE_TRAINING=true.",
        retry_after_seconds=seconds,
        job_id=training.job_id,
        **extra,
    )
