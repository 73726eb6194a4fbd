"""The models on disk: a manifest for each name, its layers among the blobs. A restart changes nothing."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.ollama_double import gguf_file, go_template
from tests.ollama_double.blobs import Blobs
from tests.ollama_double.gguf_file import GGUF
from tests.ollama_double.names import Name, parse
from tests.ollama_double.wire import JSONObject

_MEDIA = "application/vnd.ollama.image."
MODEL, PROJECTOR, TEMPLATE, SYSTEM, PARAMETERS, MESSAGES, LICENSE = (
    _MEDIA + kind
    for kind in ("model", "projector", "template", "system", "params", "messages", "license")
)
_CONFIG = "application/vnd.docker.container.image.v1+json"


@dataclass(frozen=True)
class Layer:
    """One part of a model; `status` is what its making is told with."""

    media: str
    digest: str
    size: int
    origin: str = ""
    status: str = ""


@dataclass(frozen=True)
class Model:
    """A model as its manifest says it is."""

    name: Name
    digest: str
    modified_at: datetime
    config: JSONObject
    layers: tuple[Layer, ...]
    blobs: Blobs

    @property
    def size(self) -> int:
        """Bytes of all its layers."""
        return sum(layer.size for layer in self.layers) + int(self.config["size"])

    @property
    def path(self) -> Path:
        """The file of its weights."""
        (layer,) = self.of(MODEL)
        return self.blobs.path(layer.digest)

    @property
    def projector(self) -> Path | None:
        """The file of what it sees with."""
        return next((self.blobs.path(layer.digest) for layer in self.of(PROJECTOR)), None)

    @property
    def parent(self) -> str:
        """What it was made from."""
        return self.of(MODEL)[0].origin

    def of(self, media: str) -> list[Layer]:
        """The layers of one kind."""
        return [layer for layer in self.layers if layer.media == media]

    def texts(self, media: str) -> list[str]:
        """What the layers of one kind hold."""
        return [self.blobs.path(layer.digest).read_text() for layer in self.of(media)]

    @cached_property
    def gguf(self) -> GGUF:
        """The header of its weights."""
        return gguf_file.read(self.path)

    @cached_property
    def go_template(self) -> str | None:
        """Its Go template, if it has one."""
        return next(iter(self.texts(TEMPLATE)), None)

    @property
    def system(self) -> str:
        """Its system message."""
        return next(iter(self.texts(SYSTEM)), "")

    @property
    def parameters(self) -> dict[str, Any]:
        """Its options."""
        return {k: v for text in self.texts(PARAMETERS) for k, v in json.loads(text).items()}

    @property
    def messages(self) -> list[JSONObject]:
        """The messages that every conversation begins with."""
        return [message for text in self.texts(MESSAGES) for message in json.loads(text)]

    @cached_property
    def is_rendered_here(self) -> bool:
        """Whether its Go template is used: not when the GGUF's own can do more. Nor, in this double alone, by a model
        that sees: llama.cpp places its images.
        """
        if self.go_template is None or self.projector:
            return False
        here = [c for c in self._template_capabilities if c != "insert"]
        return len(_jinja_capabilities(self.gguf.template)) <= len(here)

    @property
    def template(self) -> str:
        """The template that is used, of either kind."""
        if self.is_rendered_here and self.go_template is not None:
            return self.go_template
        return self.gguf.template or "{{ .Prompt }}"

    @cached_property
    def capabilities(self) -> list[str]:
        """What it can do."""
        does = ["embedding" if self.gguf.embeds else "completion"]
        does += ["vision"] if self.projector else []
        if self.is_rendered_here:
            return does + self._template_capabilities
        return does + _jinja_capabilities(self.gguf.template)

    @property
    def details(self) -> JSONObject:
        """What lists say of it."""
        return {
            "parent_model": "",
            "format": "gguf",
            "family": self.config["model_family"],
            "families": [self.config["model_family"]],
            "parameter_size": self.config["model_type"],
            "quantization_level": self.config["file_type"],
        }

    @cached_property
    def _template_capabilities(self) -> list[str]:
        names = go_template.Template(self.go_template or "").names
        found = [(c, n) for c, n in (("tools", "tools"), ("insert", "suffix")) if n in names]
        thinks = "<think>" in (self.go_template or "") and "thinking" in names
        return [capability for capability, _ in found] + ["thinking"] * thinks


def _jinja_capabilities(template: str) -> list[str]:
    tools = "tools" in template or "tool_call" in template
    thinks = "<think>" in template and "</think>" in template
    return ["tools"] * tools + ["thinking"] * thinks


class Manifests:
    """The folder of manifests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "manifests"
        self.blobs = Blobs(folder / "blobs")
        self._folder.mkdir(parents=True, exist_ok=True)

    def names(self) -> Iterator[Name]:
        """All names."""
        for path in self._folder.glob("*/*/*/*"):
            yield Name(*path.relative_to(self._folder).parts)

    def existing(self, name: Name) -> Name:
        """The name in the case in which it exists already, if it does."""
        return next((known for known in self.names() if known.is_same(name)), name)

    def find(self, text: str) -> Model | None:
        """The model that a text names."""
        name = parse(text)
        return self.get(self.existing(name)) if name else None

    def all(self) -> list[Model]:
        """All models, the newest first."""
        models = [model for name in self.names() if (model := self.get(name))]
        return sorted(models, key=lambda model: model.modified_at, reverse=True)

    def get(self, name: Name) -> Model | None:
        """The model of exactly this name; None also when the file of its configuration is missing."""
        path = self._folder / name.path
        try:
            text = path.read_bytes()
            modified_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            manifest = json.loads(text)
            config_digest = manifest["config"]["digest"]
            config = json.loads(self.blobs.path(config_digest).read_text())
        except FileNotFoundError:
            return None
        layers = tuple(
            Layer(each["mediaType"], each["digest"], each["size"], each.get("from", ""))
            for each in manifest["layers"]
        )
        config |= {"digest": config_digest, "size": manifest["config"]["size"]}
        digest = hashlib.sha256(text).hexdigest()
        return Model(name, digest, modified_at, config, layers, self.blobs)

    def write(self, name: Name, config: JSONObject, layers: list[Layer]) -> None:
        """Write a model; layers of the one that it replaces go when nothing else has them."""
        replaced = self.get(name)
        text = json.dumps(config).encode()
        digest, _ = self.blobs.put(text)
        manifest = {
            "schemaVersion": 2,
            "config": {"mediaType": _CONFIG, "digest": digest, "size": len(text)},
            "layers": [
                {"mediaType": each.media, "digest": each.digest, "size": each.size}
                | ({"from": each.origin} if each.origin else {})
                for each in layers
            ],
        }
        path = self._folder / name.path
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.parent.parent / f".{path.name}"
        new.write_text(json.dumps(manifest))
        new.replace(path)
        if replaced:
            self._remove_layers(replaced)

    def copy(self, model: Model, name: Name) -> None:
        """Give a model a second name."""
        text = (self._folder / model.name.path).read_bytes()
        replaced, path = self.get(name), self._folder / name.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
        if replaced:
            self._remove_layers(replaced)

    def remove(self, name: Name) -> bool:
        """Delete a model, a damaged one too; whether there was one."""
        path, model = self._folder / name.path, self.get(name)
        if not path.exists():
            return False
        path.unlink()
        if model:
            self._remove_layers(model)
        return True

    def prune(self) -> None:
        """Remove old blobs that no model has."""
        self.blobs.prune(self._used())

    def _used(self) -> set[str]:
        models = self.all()
        digests = {layer.digest for model in models for layer in model.layers}
        return digests | {model.config["digest"] for model in models}

    def _remove_layers(self, model: Model) -> None:
        used = self._used()
        for digest in (*(layer.digest for layer in model.layers), model.config["digest"]):
            if digest not in used:
                self.blobs.path(digest).unlink(missing_ok=True)
