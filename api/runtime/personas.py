"""What a persona does to a conversation, and what it takes from the one it is built on."""

from collections.abc import Sequence

from api.errors import InvalidOption, Unusable
from api.runtime import Message, ModelInfo, Persona
from api.runtime.tools import in_plain_words


def inherited(persona: Persona, base: Persona) -> Persona:
    """The persona, with what it does not set taken from its base's."""
    return Persona(
        system=persona.system or base.system,
        template=base.template if persona.template is None else persona.template,
        parameters=persona.parameters.over(base.parameters),
    )


def as_read(model: ModelInfo, messages: Sequence[Message]) -> list[Message]:
    """The conversation as a model's template is given it; `errors.InvalidOption` for what it cannot take."""
    if any(message.images for message in messages) and "images" not in model.capabilities:
        raise InvalidOption("images: this model cannot see.", where="messages")
    turns = with_system(model.persona, messages)
    return turns if "tools" in model.capabilities else in_plain_words(turns)


def with_system(persona: Persona, messages: Sequence[Message]) -> list[Message]:
    """The conversation as the model gets it: the persona's system prompt first, unless it has one."""
    if not messages:
        raise Unusable("The conversation has no message.")
    if persona.system and all(message.role != "system" for message in messages):
        return [Message("system", persona.system), *messages]
    return list(messages)
