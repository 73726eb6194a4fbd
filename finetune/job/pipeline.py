"""The stages of a job in order, one process each: skips what is done, stops at the first failure, says how it ended.

Imports nothing heavy: it must start in a blink, and it outlives a stage that dies.
"""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType
from typing import IO

from finetune.job import child_process, programs, stage
from finetune.job.directory import JobDirectory
from finetune.job.events import Place
from finetune.job.preloaded import Forked, Preloaded, may_fork
from finetune.job.spec import JobError, Outcome, stages_of
from finetune.job.stage import StageFailed
from finetune.job.usage import DiskWatch
from finetune.preflight import record

POLL_SECONDS = 0.1
CANCEL_GRACE_SECONDS = 300.0  # what a training step and its checkpoint may take
LOG_LINES = 10
"""Of the log's end, told with a stage that died without a word."""

NOT_EXPORTED = JobError(
    title="Not exported",
    detail="It was to end when it has trained. Publish the job to export it first.",
)

WAITING = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Two threads that spin for each other on two busy cores make a small training ten times slower."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A step of the job and the command that makes it; the job's folder is appended."""

    name: str
    command: tuple[str, ...]


class Pipeline:
    """Runs the stages of one job; `stop` ends it at the next safe point, to be resumed later."""

    def __init__(self, job: JobDirectory, stages: Sequence[Stage] | None = None) -> None:
        """`stages` are those of the job's specification when left out."""
        self._job = job
        self._stages = stages
        self._preloaded: Preloaded | None = None
        self._child: subprocess.Popen[bytes] | Forked | None = None
        self._is_stopping = False
        self._disk = DiskWatch(job.path)

    def stop(self) -> None:
        """End the running stage; no outcome is written, so the job goes on when it is started again."""
        self._is_stopping = True
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()

    def run(self) -> Outcome | None:
        """Run to the outcome, or to None when stopped. Raises `JobLocked` when somebody else is at it."""
        with self._job.locked() as lock:
            earlier = self._job.outcome()
            if earlier is not None and earlier.get("result") == "trained":
                return Outcome.model_validate(earlier)
            try:
                outcome = self._run_stages(lock)
            except StageFailed as error:
                outcome = Outcome(
                    result="failed", error=JobError(title=error.title, detail=error.detail)
                )
            finally:
                if self._preloaded is not None:
                    self._preloaded.close()
            if outcome is not None:
                with contextlib.suppress(OSError):  # on a full disk the outcome counts more
                    record.conclude(self._job)
                self._job.write_outcome(outcome.model_dump())
            return outcome

    def _run_stages(self, lock: int) -> Outcome | None:
        for step in _stages(self._job) if self._stages is None else self._stages:
            if self._is_stopping:
                return None
            if self._job.is_cancel_requested():
                return Outcome(result="cancelled")
            if self._job.stage(step.name).done() is not None:
                continue
            outcome = self._run_stage(step, lock)
            if outcome is not None or self._is_stopping:
                return outcome
        return Outcome(result="trained", error=self._why_not_exported())

    def _why_not_exported(self) -> JobError | None:
        is_whole = self._stages is not None or stage.read_spec(self._job).export
        return None if is_whole else NOT_EXPORTED

    def _run_stage(self, step: Stage, lock: int) -> Outcome | None:
        """None when the stage is done, or when it was stopped."""
        before = self._job.last_place()
        self._job.append_event(step.name, "stage_started")
        started = time.monotonic()
        code = self._process(step, lock)
        self._disk.look(now=True)
        if code in (stage.EXIT_INTERRUPTED, -signal.SIGTERM):
            self._is_stopping = not self._job.is_cancel_requested()
        if self._is_stopping:
            return None
        if code == 0:
            if self._job.stage(step.name).has_ended():
                seconds = round(time.monotonic() - started, 1)
                most = self._disk.most_bytes
                self._job.append_event(step.name, "stage_done", seconds=seconds, disk_bytes=most)
                return None
        elif self._job.is_cancel_requested():
            return Outcome(result="cancelled")
        return Outcome(result="failed", error=self._error(step, code, before))

    def _process(self, step: Stage, lock: int) -> int:
        """Run the stage's process to its end; a wish to cancel is passed on as SIGTERM."""
        with self._job.log_path.open("ab") as log:
            log.write(f"--- {step.name}\n".encode())
            log.flush()
            self._child = self._start(step, lock, log)
        if self._is_stopping:
            self._child.terminate()
        cancelled_at: float | None = None
        while True:
            try:
                return self._child.wait(POLL_SECONDS)
            except subprocess.TimeoutExpired:
                self._disk.look()
                if cancelled_at is None and self._job.is_cancel_requested():
                    cancelled_at = time.monotonic()
                    self._child.terminate()
                elif cancelled_at and time.monotonic() - cancelled_at > CANCEL_GRACE_SECONDS:
                    self._child.kill()

    def _start(self, step: Stage, lock: int, log: IO[bytes]) -> "subprocess.Popen[bytes] | Forked":
        env = WAITING | child_process.training_environment()
        if self._stages is None and may_fork():
            if self._preloaded is None:
                self._preloaded = Preloaded(self._job.path, env, log, lock)
            return self._preloaded.start(step.name)
        return child_process.start(
            [*step.command, str(self._job.path)],
            env=env,
            stdout=log,
            stderr=log,
            pass_fds=(lock,),
            start_new_session=True,
        )

    def _error(self, step: Stage, code: int, before: Place) -> JobError:
        """What the stage said, or what its end tells."""
        events, _ = self._job.events(before)
        for event in reversed(events):
            if event.stage == step.name and event.type == "failed":
                title = str(event.fields.get("title", "Failed"))
                detail = str(event.fields.get("detail", ""))
                return JobError(title=title, detail=detail, stage=step.name)
        title, detail = _how_it_ended(code)
        lines = self._log_tail()
        if lines:
            detail += f" Last lines of log.txt:\n{lines}"
        self._job.append_event(step.name, "failed", title=title, detail=detail)
        return JobError(title=title, detail=detail, stage=step.name)

    def _log_tail(self) -> str:
        _, _, text = self._job.log_tail(8192).rpartition("--- ")
        return "\n".join(line[:300] for line in text.splitlines()[1:][-LOG_LINES:])


def _stages(job: JobDirectory) -> tuple[Stage, ...]:
    """The stages that the job's specification asks for, when this machine can run them. Raises `StageFailed`."""
    spec = stage.read_spec(job)
    if spec.importance_matrix:
        programs.require_for_importance()
    return tuple(
        Stage(name, (sys.executable, "-m", f"finetune.stages.{name}")) for name in stages_of(spec)
    )


def _how_it_ended(code: int) -> tuple[str, str]:
    if code == -signal.SIGKILL:
        return (
            "The stage was killed",
            "It was ended by SIGKILL, most likely because memory ran out. Use a smaller base, "
            "bits=4, a smaller batch_size or max_length, or more memory; then resume.",
        )
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return "The stage crashed", f"It was ended by {name}. Resume the job to try again."
    if code == 0:
        return "The stage left nothing", "It ended well but wrote no whole done.json."
    return "The stage failed", f"It ended with exit code {code} and gave no reason."


def run(job: JobDirectory, stages: Sequence[Stage] | None = None) -> Outcome | None:
    """Run a job in this process; SIGTERM and SIGINT stop it so that it can be resumed."""
    pipeline = Pipeline(job, stages)

    def on_signal(number: int, frame: FrameType | None) -> None:
        del number, frame
        pipeline.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    return pipeline.run()
