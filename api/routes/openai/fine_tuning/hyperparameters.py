"""`hyperparameters` of a fine-tuning job: OpenAI's, in its names and measures, and beside them every one of ours."""

from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, Field, model_validator

from api.routes.openai.body import refuse
from finetune.job.spec import TrainingParameters

AUTO = "auto"
DEFAULTS: Mapping[str, Any] = TrainingParameters().model_dump(mode="json")
LEARNING_RATE: float = DEFAULTS["learning_rate"]
"""What `learning_rate_multiplier` multiplies."""
OTHERWISE = ("epochs", "batch_size", "gradient_accumulation_steps", "learning_rate", "seed")
"""Those of ours that are told by OpenAI's names."""
TWICE = {"n_epochs": "epochs", "learning_rate_multiplier": "learning_rate"}


class Hyperparameters(TrainingParameters):
    """What is left out, null or `auto` is our default. `batch_size` is the rows of an optimiser step, which come to the
    device at once, or in as many parts as `gradient_accumulation_steps` says.
    """

    model_config = ConfigDict(protected_namespaces=())

    n_epochs: int | None = Field(None, ge=1, le=1000)
    batch_size: int = Field(1, ge=1, le=1024)
    learning_rate_multiplier: float | None = Field(None, gt=0, allow_inf_nan=False)
    beta: float | None = Field(None, gt=0, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _given(cls, members: Any) -> Any:
        if not isinstance(members, dict):
            return members
        return {name: one for name, one in members.items() if one is not None and one != AUTO}

    def given(self) -> dict[str, Any]:
        """Those that somebody chose."""
        return {name: getattr(self, name) for name in self.model_fields_set}


def parameters_of(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """As a run takes them; `where` is the member in which they came."""
    for theirs, ours in TWICE.items():
        if theirs in given and ours in given:
            raise refuse(f"{where}.{ours}", f"Send it or {theirs}.")
    parameters = dict(given)
    if (epochs := parameters.pop("n_epochs", None)) is not None:
        parameters["epochs"] = epochs
    if (multiplier := parameters.pop("learning_rate_multiplier", None)) is not None:
        parameters["learning_rate"] = multiplier * LEARNING_RATE
    if (beta := parameters.pop("beta", None)) is not None:
        parameters["extra"] = {**parameters.get("extra", {}), "beta": beta}
    if (rows := parameters.pop("batch_size", None)) is not None:
        parts = parameters.setdefault("gradient_accumulation_steps", 1)
        if rows % parts:
            raise refuse(f"{where}.batch_size", f"{rows} rows do not come in {parts} equal parts.")
        parameters["batch_size"] = rows // parts
    return parameters


def hyperparameters_of(spec: Mapping[str, Any], steps: int | None) -> dict[str, Any]:
    """As OpenAI's clients read those of a run, and beside them those of ours that are not the defaults. `steps` are the
    batches of an optimiser step where that was left to the run; None before it is known.
    """
    settled = {**DEFAULTS, **{name: one for name, one in spec.items() if name in DEFAULTS}}
    parts = settled["gradient_accumulation_steps"] or steps
    epochs = settled["epochs"]
    told: dict[str, Any] = {
        "batch_size": settled["batch_size"] * parts if parts else AUTO,
        "learning_rate_multiplier": round(settled["learning_rate"] / LEARNING_RATE, 6),
    }
    if epochs == int(epochs):
        told["n_epochs"] = int(epochs)
    if settled["method"] == "dpo":
        told["beta"] = settled["extra"].get("beta", AUTO)
    ours = {
        name: one
        for name, one in settled.items()
        if one != DEFAULTS[name] and name not in OTHERWISE
    }
    return told | ours


def where_of(field: str) -> str:
    """What a parameter of a run is called here."""
    names = {"gradient_accumulation_steps": "batch_size"}
    names |= {ours: theirs for theirs, ours in TWICE.items()}
    return names.get(field, field)
