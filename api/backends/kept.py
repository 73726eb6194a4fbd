"""Back ends and their models between values and rows."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from api.backends import BackEnd
from api.backends.launch import Launch
from api.runtime import Options, personas
from api.runtime.openai_style.client import Bounds
from api.runtime.openai_style.directory import RemoteModel
from api.store.backends import BackEndRow, BackEnds, RemoteModelRow
from api.store.collections import Collections
from api.store.model_defaults import ModelDefaults


class Kept:
    """`directory.Keeper` over the store; its methods block."""

    def __init__(self, rows: BackEnds, collections: Collections, defaults: ModelDefaults) -> None:
        self._rows = rows
        self._collections = collections
        self._defaults = defaults

    def back_ends(self) -> list[BackEnd]:
        """Every back end."""
        return [_back_end(row) for row in self._rows.all()]

    def models(self) -> list[RemoteModel]:
        """Every model on any of them."""
        return [_model(row) for row in self._rows.models()]

    def embedded_by(self, models: Collection[str]) -> list[str]:
        """Names of the collections, of any workspace, that models of these names embed."""
        return self._collections.embedded_by(models)

    def default_options(self) -> Mapping[str, Options]:
        """What models answer with where a request does not say, by `names.model_key`."""
        kept = self._defaults.all()
        return {
            key: personas.options_parsed(about.get("options", {})) for key, about in kept.items()
        }

    def put_back_end(
        self, back_end: BackEnd, models: Collection[RemoteModel], without: Collection[str]
    ) -> None:
        """Keep a back end with these of its models, and no more `without` those names."""
        settings = asdict(back_end)
        del settings["name"], settings["created_at"]
        row = BackEndRow(back_end.name, settings, back_end.created_at)
        self._rows.put(row, [_row(model) for model in models], without)

    def remove_back_end(self, name: str) -> None:
        """Keep it no more, with all its models."""
        self._rows.remove(name)

    def put(self, model: RemoteModel, instead_of: str) -> None:
        """Keep a model, in place of that of another name."""
        self._rows.put_model(_row(model), instead_of)

    def remove(self, name: str) -> None:
        """Keep it no more."""
        self._rows.remove_model(name)


def _back_end(row: BackEndRow) -> BackEnd:
    settings = dict(row.settings)
    bounds = Bounds(**settings.pop("bounds"))
    launch = settings.pop("launch", None)
    return BackEnd(
        name=row.name,
        created_at=row.created_at,
        bounds=bounds,
        launch=Launch(**launch) if launch else None,
        **settings,
    )


def _row(model: RemoteModel) -> RemoteModelRow:
    about: dict[str, Any] = {
        "remote": model.remote,
        "context_length": model.context_length,
        "capabilities": sorted(model.capabilities),
        "template": model.template,
        "size_bytes": model.size_bytes,
        "base": model.base,
        "persona": personas.written(model.persona),
        "created_at": model.created_at.isoformat(),
    }
    return RemoteModelRow(model.name, model.back_end, about)


def _model(row: RemoteModelRow) -> RemoteModel:
    about = row.about
    return RemoteModel(
        name=row.name,
        back_end=row.back_end,
        remote=about["remote"],
        context_length=about["context_length"],
        capabilities=frozenset(about["capabilities"]),
        template=about["template"],
        size_bytes=about["size_bytes"],
        base=about["base"],
        persona=personas.parsed(about["persona"]),
        created_at=datetime.fromisoformat(about["created_at"]),
    )
