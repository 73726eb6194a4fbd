"""A model is changed: its template, and what it answers with where a request does not say."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from anyio.to_thread import run_sync

from api.errors import Conflict, InvalidOption, ReadOnly
from api.models.catalog import Model, ModelCatalog
from api.models.defaults import Defaults, KeptDefaults
from api.models.prompt_template import check_prompt_template
from api.models.workspaces import Known, Workspace
from api.names import WORKSPACE, in_workspace
from api.runtime import ExistingModel, ModelInfo, Options, Persona
from api.runtime.options import check_options, check_taken


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be otherwise; None leaves as it is, and what is empty takes away. `options` replace those of before,
    but for `stop_token_ids` and `extra`, which stand alone.
    """

    options: Options | None = None
    stop_token_ids: tuple[int, ...] | None = None
    extra: Mapping[str, Any] | None = None
    prompt_template: str | None = None
    variables: Mapping[str, str] | None = None
    template: str | None = None

    def over(self, old: Defaults) -> Defaults:
        """The defaults as they are to be. Values of variables that a new template lacks go with the old one."""
        options = old.options if self.options is None else self.options
        ids = old.options.stop_token_ids if self.stop_token_ids is None else self.stop_token_ids
        extra = old.options.extra if self.extra is None else self.extra
        template = old.prompt_template if self.prompt_template is None else self.prompt_template
        variables = self.variables
        if variables is None:
            variables = old.variables if template == old.prompt_template else {}
        return Defaults(
            replace(options, stop_token_ids=ids or None, extra=extra or None),
            template,
            dict(variables),
        )


class ModelChanges:
    """Changes models of one workspace; the first one's are the base models too."""

    def __init__(self, workspace: Workspace, models: ModelCatalog, kept: KeptDefaults) -> None:
        self._workspace = workspace
        self._models = models
        self._kept = kept

    async def change(self, name: str, wanted: Change) -> Model:
        """The model as it is then. `errors.ReadOnly` for one of another workspace, `errors.InvalidOption` for what it
        cannot be: then nothing has changed.
        """
        model = await self._models.show(name, embedders=True)
        named = self._own_name(model.info)
        self._check(model.info, wanted.over(await self._kept.of(named)))
        if wanted.template is not None:
            await self._give_template(model.info.name, wanted.template)
        async with self._kept.alone(named):
            model = await self._models.show(model.info.name, embedders=True)
            defaults = wanted.over(await self._kept.of(named))
            self._check(model.info, defaults)  # again: it may have become another one
            await self._kept.put(named, defaults)
        return await self._models.show(model.info.name, embedders=True)

    def _own_name(self, info: ModelInfo) -> str:
        """The runtime's name for a model of the workspace's own."""
        named = info.found.name if isinstance(info, Known) and info.found else info.name
        if in_workspace(named)[0] != self._workspace.id:
            raise ReadOnly(
                f"The model {info.name!r} is shared by the workspace {WORKSPACE!r}, which alone can change it. Make a "
                "model over it (POST /createModel), and change that."
            )
        return named

    def _check(self, info: ModelInfo, defaults: Defaults) -> None:
        if "chat" not in info.capabilities:
            raise InvalidOption(f"The model {info.name!r} cannot chat.", where="modelName")
        check_options(defaults.options, info.context_length)
        check_taken(defaults.options, info)
        check_prompt_template(defaults.prompt_template, defaults.variables)

    async def _give_template(self, name: str, template: str) -> None:
        """Make a model anew over itself, with another template."""
        if await run_sync(self._workspace.store.models.get, name) is None:
            raise Conflict(
                f"template: {name!r} is a base model, and keeps its own. Make a model over it (POST /createModel)."
            )
        persona = Persona(template=template)
        await self._workspace.runtime.create_model(name, ExistingModel(name), persona, replace=True)
