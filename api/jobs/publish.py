"""Makes a trained GGUF a model, after it has answered its probes as it did when it was verified.

The model is made as NAME--checking and asked through the call that users make; only then is it
renamed. The record of NAME is written before the rename, so that after a crash between the two our
model is told from a stranger's of that name.
"""

import contextlib
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import anyio.to_thread
from pydantic import ValidationError

from api.errors import ApiError, BackEndFailed, ModelNotFound, NameTaken, Unavailable, Unusable
from api.faults import point
from api.models.lineage import told_lineage
from api.models.naming import exists
from api.names import CHECKING, model_key
from api.runtime import GGUFFile, Message, ModelRuntime, Options, Persona, TrainedFrom, Usage
from api.store import Store
from api.store.jobs import Job
from finetune.job.directory import JobDirectory
from finetune.job.files import read_json, write_atomically
from finetune.job.spec import Probe, Probes
from finetune.job.verified import Refusal, is_forced, refusals_of

CUT_CHARACTER = "\ufffd"
"""Where the last token ends within a character one runtime writes this for its first half, another leaves it out."""
FORGIVEN_FROM = 8
"""With so many probes one text may differ: CPU and GPU arithmetic can flip a near tie."""
MOST_BEGUN = 3
"""When the runtime goes away in so many attempts, the file may be the reason: it waits no longer."""


class FileRefused(Exception):
    """A stage has found that it is not to be published."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


class GateRefused(Exception):
    """The published model does not answer as the verified one."""

    def __init__(self, gate: "Gate") -> None:
        super().__init__(gate.detail)
        self.gate = gate


@dataclass(frozen=True, slots=True)
class Difference:
    """One probe that is answered differently, counted from 1."""

    probe: int
    what: str
    expected: str
    got: str


@dataclass(frozen=True, slots=True)
class Gate:
    """What publishing compared and found."""

    passed: bool
    probes: int
    prompt_tokens_equal: int
    finish_reasons_equal: int
    texts_equal: int
    seconds: float
    differences: list[Difference] = field(default_factory=list)

    @property
    def detail(self) -> str:
        """The first difference in words."""
        first = self.differences[0]
        return (
            f"Probe {first.probe} of {self.probes}: the {first.what} is {first.got}, and was "
            f"{first.expected} when the file was verified ({len(self.differences)} differences). "
            "The runtime does not read this file as the training did."
        )


class Publisher:
    """Publishes jobs in the state `publishing`; a second run finishes what a crash has cut."""

    def __init__(self, store: Store, runtime: ModelRuntime) -> None:
        self._store = store
        self._runtime = runtime
        self._begun: Counter[str] = Counter()

    async def sweep(self) -> None:
        """Delete what an earlier process has left half made: a name ending in `--checking` that a job or a record of
        ours explains. Another's model stays. Called before anything is published.
        """
        jobs = await anyio.to_thread.run_sync(self._store.jobs.all, "trained", "publishing")
        records = await anyio.to_thread.run_sync(self._store.models.all)
        names = [*(job.model_name for job in jobs), *(record.name for record in records.values())]
        ours = {model_key(f"{name}{CHECKING}") for name in names}
        for model in await self._runtime.models():
            if model_key(model.name) in ours:
                await self._remove(model.name)

    async def publish(self, job: Job, directory: JobDirectory) -> Job:
        """Publish; the job is `succeeded` afterwards, or `trained` again with the reason.

        `errors.Unavailable` while the runtime is away: call again later.
        """
        try:
            gate = await self._published(job, directory)
        except FileRefused as refused:
            title, detail = refused.refusal.title, refused.refusal.detail
            return await self._back(job, directory, title, detail, stage=refused.refusal.stage)
        except GateRefused as refused:
            return await self._back(
                job, directory, "Not published", refused.gate.detail, refused.gate
            )
        except ApiError as error:
            if isinstance(error, Unavailable) and self._begun[job.id] < MOST_BEGUN:
                raise
            return await self._back(job, directory, error.title, error.detail)
        except OSError as error:
            return await self._back(job, directory, "Not published", f"{error.strerror}.")
        directory.append_event("publish", "stage_done", seconds=gate.get("seconds", 0))
        job = await anyio.to_thread.run_sync(
            lambda: self._store.jobs.move(job.id, "succeeded", gate=gate)
        )
        await anyio.to_thread.run_sync(directory.drop_intermediates)
        return job

    async def _published(self, job: Job, directory: JobDirectory) -> dict[str, Any]:
        """The gate's facts, once NAME is there and is this job's."""
        checking = f"{job.model_name}{CHECKING}"
        record = await anyio.to_thread.run_sync(self._store.models.get, job.model_name)
        is_ours = record is not None and record.job_id == job.id
        is_there = await exists(self._runtime, job.model_name)
        if is_there and not is_ours:
            raise NameTaken(
                f"A model named {job.model_name!r} exists. Delete it, then publish again."
            )
        await self._remove(checking)  # left by an attempt that was cut, perhaps in its rename
        if is_there:
            return read_json(directory.gate_path) or {}
        await anyio.to_thread.run_sync(_require_whole, directory)
        forced = await anyio.to_thread.run_sync(is_forced, directory)
        refusals = await anyio.to_thread.run_sync(refusals_of, directory)
        if refusals and not forced:
            raise FileRefused(refusals[0])
        self._begun[job.id] += 1
        directory.append_event("publish", "stage_started")
        try:
            lineage = await anyio.to_thread.run_sync(told_lineage, directory)
            checked = await self._checked(job, checking, directory, lineage, forced=forced)
            gate = asdict(checked)
            warnings = [f"{refusal.title}. {refusal.detail}" for refusal in refusals]
            warnings += [] if checked.passed else [checked.detail]
            directory.gate_path.parent.mkdir(exist_ok=True)
            write_atomically(directory.gate_path, json.dumps(gate, indent=1))
            await anyio.to_thread.run_sync(
                lambda: self._store.models.put(
                    job.model_name,
                    "fine-tune",
                    job.base_model,
                    job.id,
                    lineage=lineage,
                    warning="\n".join(warnings),
                )
            )
            point("publish_recorded")
            await self._runtime.rename(checking, job.model_name)
            point("publish_renamed")
        except NameTaken:
            await self._undo(job, checking, is_named=False)
            raise
        except Exception:
            await self._undo(job, checking, is_named=await self._may_exist(job.model_name))
            raise
        return gate

    async def _checked(
        self,
        job: Job,
        checking: str,
        directory: JobDirectory,
        lineage: dict[str, Any],
        *,
        forced: bool,
    ) -> Gate:
        """Make the model and hold it against its probes. Raises `GateRefused`, unless it is `forced`."""
        started = time.monotonic()
        probes = await anyio.to_thread.run_sync(_probes, directory)
        root = await anyio.to_thread.run_sync(self._store.models.root_of, job.base_model)
        source = GGUFFile(directory.gguf_path, TrainedFrom(job.base_model, root, lineage))
        await self._runtime.create_model(checking, source, Persona())
        point("publish_created")
        answers = []
        for number, probe in enumerate(probes, 1):
            answers.append(await self._answer(checking, probe))
            directory.append_event("publish", "progress", step=number, steps=len(probes))
        gate = compare(probes, answers, round(time.monotonic() - started, 2))
        if not gate.passed and not forced:
            raise GateRefused(gate)
        return gate

    async def _answer(self, name: str, probe: Probe) -> tuple[str, Usage]:
        messages = [Message(**turn) for turn in probe.messages]  # type: ignore[arg-type]  # checked roles
        options = Options(temperature=0.0, seed=0, max_tokens=probe.max_tokens)
        text, usage = "", None
        async for piece in self._runtime.chat(name, messages, options):
            text += piece.text
            usage = piece.usage or usage
        if usage is None:
            raise BackEndFailed("The runtime ended a probe's answer without saying how.")
        return text, usage

    async def _remove(self, name: str) -> None:
        with contextlib.suppress(ModelNotFound):
            await self._runtime.delete_model(name)

    async def _undo(self, job: Job, checking: str, *, is_named: bool) -> None:
        """Take back what was made; what cannot be taken back now, the next attempt takes back."""
        with contextlib.suppress(ApiError):
            await self._remove(checking)
        if not is_named:
            with contextlib.suppress(ApiError):
                await anyio.to_thread.run_sync(self._forget, job)

    async def _may_exist(self, name: str) -> bool:
        try:
            return await exists(self._runtime, name)
        except ApiError:
            return True

    def _forget(self, job: Job) -> None:
        record = self._store.models.get(job.model_name)
        if record is not None and record.job_id == job.id:
            self._store.models.remove(job.model_name)

    async def _back(
        self,
        job: Job,
        directory: JobDirectory,
        title: str,
        detail: str,
        gate: Gate | None = None,
        stage: str = "publish",
    ) -> Job:
        del self._begun[job.id]
        error = {"title": title, "detail": detail, "stage": stage}
        with contextlib.suppress(OSError):
            directory.append_event(stage, "failed", title=title, detail=detail)
        return await anyio.to_thread.run_sync(
            lambda: self._store.jobs.move(
                job.id, "trained", error=error, gate=asdict(gate) if gate else None
            )
        )


def compare(probes: Sequence[Probe], answers: Sequence[tuple[str, Usage]], seconds: float) -> Gate:
    """All prompt token counts and finish reasons must agree, and all texts but one of eight."""
    differences, unequal = [], {"prompt token count": 0, "finish reason": 0, "text": 0}
    for number, (probe, (text, usage)) in enumerate(zip(probes, answers, strict=True), 1):
        for what, expected, got in (
            ("prompt token count", probe.prompt_tokens, usage.prompt_tokens),
            ("finish reason", probe.finish_reason, usage.finish_reason),
            ("text", probe.text.rstrip(CUT_CHARACTER), text.rstrip(CUT_CHARACTER)),
        ):
            if expected != got:
                unequal[what] += 1
                differences.append(Difference(number, what, repr(expected), repr(got)))
    total = len(probes)
    tokens, reasons, texts = (total - count for count in unequal.values())
    forgiven = 1 if total >= FORGIVEN_FROM else 0
    passed = tokens == total and reasons == total and texts >= total - forgiven
    return Gate(passed, total, tokens, reasons, texts, seconds, differences)


def _require_whole(directory: JobDirectory) -> None:
    """Files of the checkpoint that is wished for: where another one was chosen, their stages are not done."""
    if not all(directory.stage(name).has_ended() for name in ("quantize", "verify")):
        raise Unusable("Its file is not made, or is not whole. Resume the job.")


def _probes(directory: JobDirectory) -> list[Probe]:
    try:
        return Probes.model_validate_json(directory.probes_path.read_bytes()).probes
    except (OSError, ValidationError) as error:
        raise Unusable("verify/probes.json is missing or damaged. Resume the job.") from error
