"""A persona's own chat template, rendered here for a server that would apply another."""

from collections.abc import Sequence

from api.errors import Unusable
from api.runtime import Message
from api.runtime.templates import render
from api.runtime.threads import in_thread


async def rendered(template: str, turns: Sequence[Message]) -> str:
    """The prompt of a conversation. The server puts the token that begins a text before it; which one ends a turn, it
    does not tell, so that a template has to write it.
    """
    messages = [{"role": turn.role, "content": turn.content} for turn in turns]
    values = {"add_generation_prompt": True, "bos_token": "", "eos_token": "", "tools": None}
    (made,) = await in_thread(render, template, [{"messages": messages, **values}])
    if made.fault is not None:
        raise Unusable(f"The chat template does not render this conversation: {made.fault}.")
    return made.text
