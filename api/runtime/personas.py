"""What a persona does to a conversation, what it takes from the one it is built on, and how it is written down."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from api.errors import InvalidOption, Unusable
from api.runtime import Message, ModelInfo, Options, Persona
from api.runtime.tools import in_plain_words


def inherited(persona: Persona, base: Persona) -> Persona:
    """The persona, with what it does not set taken from its base's."""
    return Persona(
        system=persona.system or base.system,
        template=base.template if persona.template is None else persona.template,
        parameters=persona.parameters.over(base.parameters),
    )


def require_sight(model: ModelInfo, messages: Sequence[Message]) -> None:
    """`errors.InvalidOption` for images, where the model does not see."""
    if any(message.images for message in messages) and "images" not in model.capabilities:
        raise InvalidOption(
            f"images: the model {model.name!r} cannot see: `images` is not among its capabilities. Ask one that can.",
            where="messages",
        )


def as_read(model: ModelInfo, messages: Sequence[Message]) -> list[Message]:
    """The conversation as a model's template is given it; `errors.InvalidOption` for what it cannot take."""
    require_sight(model, messages)
    turns = with_system(model.persona, messages)
    return turns if "tools" in model.capabilities else in_plain_words(turns)


def with_system(persona: Persona, messages: Sequence[Message]) -> list[Message]:
    """The conversation as the model gets it: the persona's system prompt first, unless it has one."""
    if not messages:
        raise Unusable("The conversation has no message.")
    if persona.system and all(message.role != "system" for message in messages):
        return [Message("system", persona.system), *messages]
    return list(messages)


def written(persona: Persona) -> dict[str, Any]:
    """A persona as JSON."""
    return {
        "system": persona.system,
        "template": persona.template,
        "parameters": options_written(persona.parameters),
    }


def options_written(options: Options) -> dict[str, Any]:
    """Those that are set, as JSON."""
    return {name: value for name, value in asdict(options).items() if value is not None}


def parsed(content: Mapping[str, Any]) -> Persona:
    """A persona out of what `written` made."""
    options = options_parsed(content["parameters"])
    return Persona(str(content["system"]), content["template"], options)


def options_parsed(content: Mapping[str, Any]) -> Options:
    """Options out of what `options_written` made; those that nobody knows any more are passed over."""
    known = {field.name for field in fields(Options)}
    options = {name: value for name, value in content.items() if name in known}
    for name in ("stop", "tools", "stop_token_ids"):
        if name in options:
            options[name] = tuple(options[name])
    if "logit_bias" in options:
        options["logit_bias"] = {int(k): v for k, v in options["logit_bias"].items()}
    return Options(**options)
