"""What of a run's parameters is refused before a job exists, because no training could do it with this base."""

import json
from pathlib import Path
from typing import Any

from api.errors import InvalidOption, Unusable
from api.runtime.templates import check_template
from finetune.job.parameters.learning import Refusal
from finetune.job.spec import FineTuneSpec

CHATML = "chatml"
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
"""What configurations call the number of experts."""


class AdapterRefused(Unusable):
    """An adapter's files cannot be merged into its base."""

    title = "Adapter unusable"


def require(refusal: Refusal | None) -> None:
    """Raises `errors.InvalidOption` when there is one."""
    if refusal is not None:
        raise InvalidOption(refusal.reason, where=refusal.parameter)


def check_parameters(spec: FineTuneSpec, base: Path) -> None:
    """Raises `errors.InvalidOption`. Blocks while a template is tried; call it from a thread."""
    require(spec.refused())
    if spec.adapter == "dora" and _has_experts(base):
        reason = f"adapter=dora cannot train the experts that {spec.base_model} is made of. Use lora or rslora."
        require(Refusal("adapter", reason))
    if spec.chat_template is not None and spec.chat_template != CHATML:
        fault = check_template(spec.chat_template)
        if fault:
            reason = (
                f"chat_template is neither {CHATML} nor a Jinja template that can be used: {fault}."
            )
            require(Refusal("chat_template", reason))


def _has_experts(base: Path) -> bool:
    try:
        config: Any = json.loads((base / "config.json").read_text("utf-8"))
        config = config.get("text_config", config)
        return any(isinstance(config.get(name), int) and config[name] > 1 for name in EXPERTS)
    except (OSError, ValueError, AttributeError):
        return False
