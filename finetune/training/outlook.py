"""Before any weight is loaded: what was counted says whether the run fits, and two steps on the longest rows show it.

The two steps are made in a process of their own (`probe`), so that running out of memory there ends nothing else.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch

from finetune.job import child_process
from finetune.job.device import Gpu
from finetune.job.directory import JobDirectory
from finetune.job.files import read_json
from finetune.job.hardware import Hardware, measure
from finetune.job.spec import FineTuneSpec
from finetune.job.stage import StageFailed
from finetune.preflight.base import read_base
from finetune.preflight.forecast import Forecast, Shortfall
from finetune.preflight.formula import Amount
from finetune.preflight.history import read
from finetune.preflight.record import write_forecast, write_part
from finetune.preflight.room import gib

WORTH_PROBING_SECONDS = 120.0
"""A run that is expected to train for less is not probed: the probe would take a good part of it."""
PROBE_SECONDS = 1800.0


def machine_here(folder: Path) -> Hardware:
    """This machine, as torch sees its GPU."""
    if not torch.cuda.is_available():
        return measure(folder, None)
    about = torch.cuda.get_device_properties(0)
    return measure(folder, Gpu(about.name, about.total_memory))


def look_ahead(job: JobDirectory, spec: FineTuneSpec, base: Path, data: Path) -> None:
    """Predict from the counted tokens, refuse what does not fit, and probe a long run. Raises `StageFailed`."""
    facts = read_json(data / "done.json") or {}
    amount = Amount(
        rows=int(facts.get("rows", 1)),
        eval_rows=int(facts.get("eval_rows", 0)),
        tokens=int(facts.get("tokens", spec.max_length)),
        longest=int(facts.get("longest", spec.max_length)),
    )
    machine = machine_here(job.path)
    forecast = Forecast(read_base(base), spec, amount, machine, read(job.path.parent))
    write_forecast(job, "counted", forecast)
    shown = forecast.as_json()
    job.append_event("train", "estimated", device=machine.device, free=_free(machine), **shown)
    short = forecast.shortfalls(free=True)
    for one in short:
        if one.is_sure:
            raise StageFailed(*refusal(forecast, one))
    for one in short:
        job.append_event("train", "warning", kind="memory", detail=f"{one}.")
    _probe(job, forecast)


def refusal(forecast: Forecast, short: Shortfall) -> tuple[str, str]:
    """Title and detail."""
    title = "Not enough disk" if short.resource == "disk" else "Not enough memory"
    return title, f"{short}. {forecast.in_words()}"


def _free(machine: Hardware) -> int:
    return torch.cuda.mem_get_info()[0] if machine.device == "gpu" else machine.ram_free


def _probe(job: JobDirectory, forecast: Forecast) -> None:
    expected = forecast.needs.seconds.get("train", 0.0)
    if expected < WORTH_PROBING_SECONDS:
        detail = f"Training is expected to take {expected:.0f} s: too short to be worth a probe."
        write_part(job, "probed", {"skipped": detail})
        return
    command = [sys.executable, "-m", "finetune.training.probe", str(job.path)]
    try:
        ended = child_process.run(command, env=child_process.environment(), seconds=PROBE_SECONDS)
    except TimeoutError:
        write_part(job, "probed", {"skipped": f"Two steps took more than {PROBE_SECONDS:.0f} s."})
        return
    sys.stderr.write(ended.stderr.decode(errors="replace"))
    said = _last_line(ended.stdout)
    if said is None or "out_of_memory" in said:
        _out_of_memory(job, forecast, ended.returncode, said)
        return
    part = said | {"train_seconds": round(forecast.train_seconds(said["batch_seconds"]), 1)}
    write_part(job, "probed", part)
    job.append_event("train", "probed", **part)


def _last_line(output: bytes) -> dict[str, Any] | None:
    try:
        said = json.loads(output.splitlines()[-1])
    except (ValueError, IndexError):
        return None
    return said if isinstance(said, dict) else None


def _out_of_memory(
    job: JobDirectory, forecast: Forecast, code: int, said: dict[str, Any] | None
) -> None:
    """Memory ran out, or the probe died of something that training will meet itself and tell better."""
    if said is None and code != -9:
        write_part(job, "probed", {"skipped": f"The probe ended with exit code {code}."})
        return
    detail = (
        f"Two steps on the longest rows ran out of memory ({gib(_free(forecast.machine))} are free). "
        f"{forecast.in_words()}"
    )
    write_part(job, "probed", {"out_of_memory": True, "detail": detail})
    if forecast.machine.device == "cpu":
        raise StageFailed("Not enough memory", detail)
    job.append_event("train", "warning", kind="probe_out_of_memory", detail=detail)
