"""Names of models as Ollama reads them: HOST/NAMESPACE/MODEL:TAG, where all but the model has a default."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

LIBRARY_HOST = "model-library"
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}\Z")
_NAMESPACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}\Z")
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}\Z")


@dataclass(frozen=True)
class Name:
    """A whole name; names that differ in case alone are one."""

    host: str
    namespace: str
    model: str
    tag: str

    def __str__(self) -> str:
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"

    @property
    def short(self) -> str:
        """The name without the parts that have their default value; the tag always stays."""
        shown = f"{self.model}:{self.tag}"
        if self.host.lower() != LIBRARY_HOST:
            return f"{self.host}/{self.namespace}/{shown}"
        return shown if self.namespace.lower() == "library" else f"{self.namespace}/{shown}"

    @property
    def path(self) -> PurePosixPath:
        """Where its manifest lies, below the folder of manifests."""
        return PurePosixPath(self.host, self.namespace, self.model, self.tag)

    def is_same(self, other: "Name") -> bool:
        """Whether both name one model."""
        return str(self).lower() == str(other).lower()


def parse(text: str) -> Name | None:
    """The name that a text stands for, or None for a text that is no name."""
    rest, tag = text, "latest"
    if text.rfind(":") > text.rfind("/"):
        rest, tag = text.rsplit(":", 1)
    parts = rest.rsplit("/", 2)
    model, namespace, host = [*reversed(parts), *["library", LIBRARY_HOST][len(parts) - 1 :]]
    sound = _PART.match(model) and _PART.match(tag) and _NAMESPACE.match(namespace)
    return Name(host, namespace, model, tag) if sound and _HOST.match(host) else None
