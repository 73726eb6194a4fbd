"""`python -m finetune.worker JOBS_DIR`: runs the jobs of a folder, one at a time, oldest wish first.

A job is taken when it has `start`, no `outcome.json` and a free lock; so any number of workers, one a GPU, may share
the folder. Each job runs in a process of its own, so that nothing a job does ends the worker. SIGTERM saves the
running job's checkpoint and ends; the job goes on at the next start. `--check` tells whether a worker lives.
"""

import argparse
import contextlib
import logging
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from finetune.job import child_process, stage
from finetune.job.device import Gpu, find_gpu
from finetune.job.directory import JobDirectory
from finetune.job.hardware import measure
from finetune.job.spec import JobError, Outcome
from finetune.job.workers import dismiss_worker, report_hardware, report_worker, workers

PIPELINE = (sys.executable, "-m", "finetune")
MOST_STARTS = 3  # of a job whose process ends again and again without an outcome
REPORT_SECONDS = 5.0
HARDWARE_SECONDS = 60.0
JOB_NAME = re.compile(r"job_\w+")

log = logging.getLogger("finetune.worker")


def next_job(folder: Path) -> JobDirectory | None:
    """The job that waits longest, or None. One that cannot be looked at is passed over.

    A folder of another name is somebody else's, such as a copy of a job.
    """
    waiting: list[tuple[float, str]] = []
    for start in folder.glob("job_*/start"):
        if not JOB_NAME.fullmatch(start.parent.name):
            continue
        job = JobDirectory(start.parent)
        try:
            if job.outcome() is None and not job.is_locked():
                waiting.append((start.stat().st_mtime, job.id))
        except FileNotFoundError:
            continue
        except OSError as error:
            log.warning("%s: passed over: %s", job.id, error)
    return JobDirectory(folder / min(waiting)[1]) if waiting else None


class Worker:
    """Runs jobs until it is told to stop."""

    def __init__(
        self,
        folder: Path,
        command: Sequence[str] = PIPELINE,
        *,
        name: str = "worker",
        gpu: Gpu | None = None,
    ) -> None:
        """`gpu` is what it trains on, as it reports; its CPU without one."""
        self._folder = folder
        self._command = command
        self._name = name
        self._gpu = gpu
        self._measured_at = -HARDWARE_SECONDS
        self._child: subprocess.Popen[bytes] | None = None
        self._is_stopping = False
        self._starts: Counter[str] = Counter()
        self._trouble = ""

    def stop(self) -> None:
        """Pass the wish on, and take no other job."""
        self._is_stopping = True
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()

    def run(self, poll_seconds: float = 1.0, *, until_idle: bool = False) -> None:
        """Take one job after the other; `until_idle` ends when none waits."""
        while not self._is_stopping:
            try:
                self._report()
                job = next_job(self._folder)
                if job is not None:
                    self._run_job(job)
                self._trouble = ""
            except OSError as error:  # no folder, no space, no process: it may pass
                job = None
                self._say_once(error)
            if job is None:
                if until_idle:
                    break
                time.sleep(poll_seconds)
        dismiss_worker(self._folder, self._name)

    def _report(self) -> None:
        report_worker(self._folder, self._name, "gpu" if self._gpu else "cpu")
        if time.monotonic() - self._measured_at >= HARDWARE_SECONDS:
            report_hardware(self._folder, self._name, measure(self._folder, self._gpu))
            self._measured_at = time.monotonic()

    def _say_once(self, error: OSError) -> None:
        trouble = str(error) if self._folder.is_dir() else f"{self._folder} is not there"
        if trouble != self._trouble:
            self._trouble = trouble
            log.warning("waits: %s", trouble)

    def _run_job(self, job: JobDirectory) -> None:
        log.info("%s: taken", job.id)
        self._starts[job.id] += 1
        began_at = time.monotonic()
        code = self._pipeline(job)
        outcome = job.outcome()
        if outcome is not None:
            log.info("%s: %s after %.0f s", job.id, _told(outcome), time.monotonic() - began_at)
            del self._starts[job.id]
        elif self._is_stopping:
            log.info("%s: stopped, goes on at the next start", job.id)
        elif code == stage.EXIT_LOCKED:
            log.info("%s: another worker has it", job.id)
            self._starts[job.id] -= 1
        elif not job.path.is_dir():
            log.warning("%s: its folder is gone", job.id)
            del self._starts[job.id]
        else:
            self._try_again_or_give_up(job, code)

    def _pipeline(self, job: JobDirectory) -> int:
        """Run the job in a process that ends with this one; returns its exit code."""
        self._child = child_process.start(
            [*self._command, str(job.path)], env=child_process.training_environment()
        )
        if self._is_stopping:
            self._child.terminate()
        while True:
            try:
                return self._child.wait(REPORT_SECONDS)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(OSError):
                    self._report()

    def _try_again_or_give_up(self, job: JobDirectory, code: int) -> None:
        log.warning("%s: its process ended with code %d and no outcome", job.id, code)
        if self._starts[job.id] >= MOST_STARTS:
            del self._starts[job.id]
            detail = f"It ended {MOST_STARTS} times without an outcome, last with code {code}."
            error = JobError(title="The job's process ends again and again", detail=detail)
            job.write_outcome(Outcome(result="failed", error=error).model_dump())
            log.warning("%s: given up", job.id)


def _told(outcome: dict[str, object]) -> str:
    result, error = str(outcome.get("result")), outcome.get("error")
    return f"{result} ({error.get('title')})" if isinstance(error, dict) else result


def main(arguments: list[str], command: Sequence[str] = PIPELINE) -> int:
    """Watch until SIGTERM or SIGINT; with `--check` only tell by the exit code whether a worker does."""
    options = _parser().parse_args(arguments)
    folder: Path = options.jobs_dir.absolute()
    if options.check:
        return 0 if workers(folder).get(options.name) else 1
    logging.basicConfig(
        level="INFO", stream=sys.stdout, format="%(asctime)s %(levelname)s %(message)s"
    )
    for name, is_alive in workers(folder).items():
        if not is_alive:
            dismiss_worker(folder, name)
    gpu = find_gpu()
    worker = Worker(folder, command, name=options.name, gpu=gpu)

    def on_signal(number: int, frame: FrameType | None) -> None:
        del number, frame
        worker.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    device = gpu.name if gpu else "CPU"
    log.info("%s watches %s and trains on the %s", options.name, folder, device)
    worker.run(options.poll_seconds, until_idle=options.until_idle)
    log.info("%s ends", options.name)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m finetune.worker", description=__doc__)
    parser.add_argument("jobs_dir", type=Path)
    parser.add_argument("--poll-seconds", type=float, default=1.0)
    parser.add_argument("--until-idle", action="store_true", help="end when no job waits")
    parser.add_argument("--name", default=socket.gethostname(), help="tells workers apart")
    parser.add_argument("--check", action="store_true", help="only tell whether this worker lives")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
