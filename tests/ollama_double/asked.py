"""A request for text: its fields, and what is refused before its model is looked at."""

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from tests.ollama_double import options as wanted
from tests.ollama_double.manifests import Model
from tests.ollama_double.runner import Launch
from tests.ollama_double.wire import Failure, JSONObject

_COMMON = {
    "model": "string",
    "stream": "bool",
    "format": "any",
    "keep_alive": "any",
    "options": "map[string]interface {}",
    "think": "any",
    "truncate": "bool",
    "shift": "bool",
    "logprobs": "bool",
    "top_logprobs": "int",
}
CHAT_FIELDS = {**_COMMON, "messages": "[]api.Message", "tools": "api.Tools"}
GENERATE_FIELDS = {
    **_COMMON,
    **dict.fromkeys(("prompt", "suffix", "system", "template"), "string"),
    "raw": "bool",
    "context": "[]int",
    "images": "[]api.ImageData",
}


@dataclass
class Asked:
    """A request whose model is known and whose values are sound."""

    body: JSONObject
    model: Model
    options: dict[str, Any]
    keep_seconds: float | None
    began: float

    @property
    def truncates(self) -> bool:
        """Whether what is too long may be cut."""
        return self.body.get("truncate") is not False

    @property
    def shifts(self) -> bool:
        """Whether the oldest tokens may go when the context is full."""
        return self.body.get("shift") is not False

    @property
    def tools(self) -> list[JSONObject]:
        """The tools it may call."""
        return self.body.get("tools") or []

    @property
    def has_top(self) -> bool:
        """Whether each token comes with what might have stood in its place."""
        return bool(self.body.get("top_logprobs"))

    @property
    def think(self) -> bool | None:
        """Whether it should think; a model that can does by default."""
        value = self.body.get("think")
        if value is None:
            return True if "thinking" in self.model.capabilities else None
        return bool(value)

    def launch(self, threads: int) -> Launch:
        """The process it needs."""
        model = self.model
        return Launch(
            path=model.path,
            jinja=not model.is_rendered_here,
            embeds=model.gguf.embeds,
            context=self.options["num_ctx"],
            shifts=self.shifts,
            threads=self.options["num_thread"] or threads,
            projector=model.projector,
        )


def check_values(body: JSONObject) -> None:
    """Refuse values that Ollama does not take, whatever the model."""
    wanted.check_think(body.get("think"))
    wanted.seconds(body.get("keep_alive"))
    if not 0 <= (body.get("top_logprobs") or 0) <= 20:
        raise Failure(400, "top_logprobs must be between 0 and 20")


def require(model: Model, capability: str) -> None:
    """Refuse what the model cannot do."""
    if capability not in model.capabilities:
        raise Failure(400, f"{model.name} does not support {capability}")


def check_images(images: Any) -> None:
    """Refuse images that are no base64."""
    for image in images:
        try:
            base64.b64decode(image, validate=True)
        except (binascii.Error, ValueError) as fault:
            at = next((n for n, c in enumerate(image) if not (c.isalnum() or c in "+/=")), 0)
            raise Failure(400, f"illegal base64 data at input byte {at}") from fault
