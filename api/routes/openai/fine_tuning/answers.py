"""Fine-tuning jobs, their events and their checkpoints as OpenAI's clients read them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from api.jobs.history import Kept
from api.jobs.queue import JobState
from api.models.aliases import alias_of
from api.routes.openai.fine_tuning.hyperparameters import hyperparameters_of
from api.store.jobs import Job
from finetune.job.events import Event

EVENT, CHECKPOINT = "ftevent-", "ftckpt-"
METHODS = {"sft": "supervised", "dpo": "dpo"}
"""What ours are called there; the others have no name there."""
READS_ROWS = ("dataset", None)
"""Stages in which a running job still looks at its files."""
METRICS = {"loss": "train_loss", "eval_loss": "valid_loss", "steps": "total_steps"}
LEVELS = {"warning": "warn", "failed": "error"}


def job_object(state: JobState) -> dict[str, Any]:
    """One job."""
    job = state.job
    status = _status(state)
    spec = job.spec
    told = hyperparameters_of(spec, state.progress.plan.get("gradient_accumulation_steps"))
    is_done = status == "succeeded"
    return {
        "id": job.id,
        "object": "fine_tuning.job",
        "created_at": seconds(job.created_at),
        "model": job.base_model,
        "status": status,
        "error": _error(job) if status == "failed" else None,
        "fine_tuned_model": alias_of(job) if is_done else None,
        "finished_at": seconds(job.ended_at) if job.ended_at else None,
        "estimated_finish": None if state.seconds_left is None else _in(state.seconds_left),
        "trained_tokens": state.trained_tokens if is_done else None,
        "training_file": _file(job, "train") or "",
        "validation_file": _file(job, "eval"),
        "result_files": [],
        "organization_id": job.workspace,
        "hyperparameters": told,
        **_method(spec.get("method", "sft"), told),
        "seed": spec.get("seed", 0),
        "metadata": spec.get("metadata") or {},
        "integrations": None,
        "model_name": job.model_name,
    }


def event_object(job_id: str, event: Event) -> dict[str, Any]:
    """One event; `data` holds what it tells, figures of training under OpenAI's names."""
    fields = event.fields
    is_metrics = event.stage == "train" and not {"loss", "eval_loss"}.isdisjoint(fields)
    return {
        "id": f"{EVENT}{job_id}-{event.number}",
        "object": "fine_tuning.job.event",
        "created_at": seconds(event.at),
        "level": LEVELS.get(event.type, "info"),
        "message": _message(event),
        "type": "metrics" if is_metrics else "message",
        "data": _data(fields) if is_metrics else {"stage": event.stage, **fields},
    }


def checkpoint_object(job: Job, kept: Kept) -> dict[str, Any]:
    """One checkpoint. The one that is exported is the model, the others are not called."""
    alias = alias_of(job)
    metrics = {"step": kept.step, "train_loss": kept.train_loss, "valid_loss": kept.eval_loss}
    return {
        "id": f"{CHECKPOINT}{job.id}-{kept.step}",
        "object": "fine_tuning.job.checkpoint",
        "created_at": seconds(kept.at or job.started_at or job.created_at),
        "fine_tuned_model_checkpoint": alias if kept.exported else f"{alias}:ckpt-step-{kept.step}",
        "fine_tuning_job_id": job.id,
        "step_number": kept.step,
        "metrics": {name: one for name, one in metrics.items() if one is not None},
    }


def seconds(at: str) -> int:
    """A time as OpenAI writes it."""
    return int(datetime.fromisoformat(at).timestamp())


def _in(left: float) -> int:
    return int(datetime.now(UTC).timestamp() + left)


def _status(state: JobState) -> str:
    """What was trained and waits for its owner has failed: it has no model."""
    match state.job.status:
        case "running" if state.progress.stage in READS_ROWS:
            return "validating_files"
        case "trained" if state.job.error is not None:
            return "failed"
        case "trained" | "publishing":
            return "running"
    return state.job.status


def _error(job: Job) -> dict[str, Any]:
    error = job.error or {}
    title = str(error.get("title") or "Failed")
    return {
        "code": title.lower().replace(" ", "_"),
        "message": f"{title}. {error.get('detail') or ''}".strip(),
        "param": "training_file" if error.get("stage") == "dataset" else None,
    }


def _file(job: Job, fold: str) -> str | None:
    """The dataset's id, or the name of a file that came with the job."""
    origin = (job.spec.get("datasets") or {}).get(fold) or {}
    return origin.get("id") or origin.get("name")


def _method(method: str, told: Mapping[str, Any]) -> dict[str, Any]:
    name = METHODS.get(method)
    return {"method": {"type": name, name: {"hyperparameters": told}}} if name else {}


def _data(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {METRICS.get(name, name): one for name, one in fields.items() if one is not None}


def _message(event: Event) -> str:
    fields, stage = event.fields, event.stage
    match event.type:
        case "stage_started":
            return f"{stage} has begun"
        case "stage_done" if stage == "publish":
            return "The fine-tuned model has been created"
        case "stage_done":
            return f"{stage} is done"
        case "progress" if "loss" in fields:
            return (
                f"Step {fields.get('step')}/{fields.get('steps')}: training loss={fields['loss']}"
            )
        case "progress" if "eval_loss" in fields:
            step, steps, loss = (fields.get(name) for name in ("step", "steps", "eval_loss"))
            return f"Step {step}/{steps}: validation loss={loss}"
        case "progress":
            return f"{stage}: {fields.get('step')}/{fields.get('steps')}"
        case "checkpoint":
            return f"Checkpoint created at step {fields.get('step')}"
    said = [fields[name] for name in ("title", "detail", "says") if fields.get(name)]
    return ". ".join(map(str, said)) or f"{stage}: {event.type}"
