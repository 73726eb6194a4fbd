"""What a submitted job will need on the machine that takes it; what surely does not fit is refused here, with numbers.

Reads config.json, the headers of the weights and the rows; nothing is loaded.
"""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from api.errors import DoesNotFit, OutOfSpace
from api.runners import JobRunner
from finetune.data.rows import read_rows
from finetune.job.directory import ROWS, JobDirectory
from finetune.job.spec import FineTuneSpec
from finetune.job.stage import StageFailed
from finetune.preflight import history
from finetune.preflight.amount import guess
from finetune.preflight.base import read_base
from finetune.preflight.forecast import Forecast, Shortfall
from finetune.preflight.history import experience
from finetune.preflight.record import read_parts, shown, write_forecast


class Foresight:
    """Predicts jobs of one folder for what their runner trains on."""

    def __init__(self, jobs_dir: Path, runner: JobRunner) -> None:
        self._jobs_dir = jobs_dir
        self._runner = runner

    def look(
        self, job: JobDirectory, spec: FineTuneSpec, rows: int, eval_rows: int
    ) -> dict[str, Any] | None:
        """Predict a job whose inputs are there, and write it beside them. None while nobody has said what there is
        to train with, and for a base that cannot be measured, which the job itself refuses.

        `errors.DoesNotFit` and `errors.OutOfSpace`.
        """
        machine = self._runner.hardware(self._jobs_dir)
        try:
            base = read_base((job.path / spec.base_model_folder).resolve())
        except StageFailed:
            return None
        if machine is None:
            return None
        machine = replace(machine, disk_free=shutil.disk_usage(self._jobs_dir).free)
        records = history.read(self._jobs_dir)
        guessed = guess(
            read_rows(job.input_path("train", ROWS)),
            base,
            learned=rows,
            judged=eval_rows,
            longest_allowed=spec.max_length,
        )
        known = experience(
            records,
            kind=machine.kind,
            base=spec.base_model,
            parameters=base.parameters,
            bits=spec.bits,
        )
        factor = known.factor("tokens")
        amount = replace(
            guessed,
            tokens=round(guessed.tokens * factor),
            longest=min(spec.max_length, round(guessed.longest * factor)),
        )
        forecast = Forecast(base, spec, amount, machine, records)
        for short in forecast.shortfalls():
            if short.is_sure:
                raise refusal(short, forecast)
        write_forecast(job, "predicted", forecast, guessed.tokens)
        parts = shown(read_parts(job)) or {}
        return parts["predicted"]  # type: ignore[no-any-return]


def refusal(short: Shortfall, forecast: Forecast) -> DoesNotFit | OutOfSpace:
    """The problem, with settings that would fit."""
    kind = OutOfSpace if short.resource == "disk" else DoesNotFit
    return kind(
        f"{short}. {forecast.in_words()}",
        resource=short.resource,
        stage=short.stage,
        needed_bytes=short.needed_bytes,
        available_bytes=short.available_bytes,
        would_fit=[one.as_json() for one in forecast.would_fit()],
    )
