"""What models stand on: a server that comes to take less may not break what they answer with by themselves."""

from collections.abc import Collection, Mapping

from api.errors import Conflict, InvalidOption
from api.names import model_key
from api.runtime import Options
from api.runtime.openai_style.body import sampling
from api.runtime.openai_style.dialect import Dialect
from api.runtime.openai_style.directory import RemoteModel
from api.runtime.options import check_taken

SHOWN = 5
"""Models, or collections, that a refusal names."""


def require_still_taken(
    dialect: Dialect, models: Collection[RemoteModel], defaults: Mapping[str, Options]
) -> None:
    """`errors.Conflict` names the models whose own options, or template, this dialect does not take: each request to
    them would be refused. `defaults` are by `names.model_key`, and stand over those of a persona.
    """
    broken = [
        f"{model.name!r} ({fault})"
        for model in sorted(models, key=lambda one: one.name.lower())
        if (fault := _not_taken(dialect, model, defaults.get(model_key(model.name), Options())))
    ]
    if broken:
        raise Conflict(
            f"Models answer with what the back end would take no more: {', '.join(broken[:SHOWN])}. Change them first "
            "(PATCH /models/NAME for options; createModel makes a persona anew), or have the dialect take it."
        )


def _not_taken(dialect: Dialect, model: RemoteModel, defaults: Options) -> str:
    """The option, or `template`; empty where all of them are taken."""
    options = defaults.over(model.persona.parameters)
    try:
        check_taken(options, dialect.taking(model.info))
        sampling(dialect, options)
    except InvalidOption as error:
        return str(error.extra.get("where", "an option"))
    is_rendered = model.persona.template is not None
    return "template" if is_rendered and not dialect.completions else ""
