"""What stands in `extra`, given to the libraries whose words it is in; what they refuse is said as a failed stage."""

from collections.abc import Callable
from typing import Any, TypeVar

from finetune.job.parameters.extra import LORA_NAME
from finetune.job.spec import TrainingParameters
from finetune.job.stage import StageFailed

T = TypeVar("T")


def of_training(parameters: TrainingParameters) -> dict[str, Any]:
    """What the trainer is told beside our own parameters."""
    return {name: value for name, value in parameters.extra.items() if name != LORA_NAME}


def of_adapter(parameters: TrainingParameters) -> dict[str, Any]:
    """What the adapter is told beside our own parameters."""
    told: dict[str, Any] = parameters.extra.get(LORA_NAME, {})
    return told


def configured(config: Callable[..., T], parameters: TrainingParameters, told: dict[str, Any]) -> T:
    """A configuration of a library. Raises `StageFailed` when it does not take what `extra` says."""
    try:
        return config(**told)
    except (ValueError, TypeError, ImportError, NotImplementedError) as error:
        if not parameters.extra:
            raise
        raise StageFailed("extra cannot be used", f"{parameters.extra}: {error}") from error
