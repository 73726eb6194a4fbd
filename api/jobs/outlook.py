"""What of a job can be reckoned: when a running one will have ended, and how much one has learned from."""

from typing import Any

from finetune.job.directory import JobDirectory
from finetune.job.files import read_json
from finetune.job.progress import JobProgress
from finetune.preflight.record import read_parts


def seconds_left(job: JobDirectory, progress: JobProgress) -> float | None:
    """Of what runs: training as it tells itself, the other stages as they were predicted. None without a prediction."""
    parts = read_parts(job) or {}
    predicted = (parts.get("counted") or parts.get("predicted") or {}).get("seconds")
    if not isinstance(predicted, dict) or not predicted:
        return None
    left = {stage: one for stage, one in predicted.items() if stage not in progress.stages}
    if progress.eta_seconds is not None and progress.stage is not None:
        left[progress.stage] = progress.eta_seconds
    return float(sum(left.values()))


def trained_tokens(job: JobDirectory, epochs: float) -> int | None:
    """Tokens that were gone through, in all epochs; None before training has ended."""
    rows, learned = (_done(job, stage) for stage in ("dataset", "train"))
    if not learned or not isinstance(rows.get("tokens"), int):
        return None
    steps = learned.get("steps") or 0
    kept: Any = read_json(job.path / "train" / "kept.json") or []
    is_short = learned.get("stopped_early") and steps and kept
    share: float = kept[-1]["step"] / steps if is_short else 1
    return int(rows["tokens"] * epochs * share + 0.5)


def _done(job: JobDirectory, stage: str) -> dict[str, Any]:
    done = read_json(job.path / stage / "done.json")
    return done if isinstance(done, dict) else {}
