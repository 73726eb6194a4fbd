"""Renders Jinja chat templates, and checks one before llama.cpp is given it: it must render one short conversation.

Templates are programs. They are only ever run in a child process (`template_child`) with bounds on time and memory,
and nothing in its environment.
"""

import contextlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api import child_process

CHILD = Path(__file__).with_name("template_child.py").resolve()
MAX_TEMPLATE_CHARACTERS = 100_000
_MAX_MEMORY_BYTES = 512 * 2**20
_CONVERSATIONS = (
    [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}],
    [{"role": "user", "content": "Hello"}],
)


@dataclass(frozen=True, slots=True)
class Rendering:
    """What a template made of one conversation, or why it made nothing."""

    text: str
    fault: str | None


def check_template(template: str, *, seconds: int = 2) -> str | None:
    """What is wrong with a chat template, or None. Blocks for some tenths of a second; call it from a thread."""
    values = {"add_generation_prompt": True, "bos_token": "<s>", "eos_token": "</s>", "tools": None}
    conversations = [{"messages": messages, **values} for messages in _CONVERSATIONS]
    fault: str | None = None
    for rendering in render(template, conversations, seconds=seconds):
        if rendering.fault is None and "Hello" in rendering.text:
            return None
        fault = rendering.fault or "what the user says is not in what it renders"
    return fault


def render(
    template: str, conversations: Sequence[Mapping[str, Any]], *, seconds: int = 2
) -> list[Rendering]:
    """What a template makes of each set of its variables. Blocks like `check_template`."""
    fault = "it takes too long to render"
    if len(template) > MAX_TEMPLATE_CHARACTERS:
        fault = f"it has {len(template)} characters; {MAX_TEMPLATE_CHARACTERS} are allowed"
        return [Rendering("", fault) for _ in conversations]
    asked = json.dumps([template, list(conversations)]).encode()
    with contextlib.suppress(TimeoutError):
        ended = child_process.run(
            [sys.executable, "-P", str(CHILD)],
            env=child_process.NOTHING,
            limits=child_process.Limits(_MAX_MEMORY_BYTES, seconds, seconds),
            input=asked,
            seconds=seconds + 25,
        )
        if ended.returncode == 0:
            return [Rendering(*answer) for answer in json.loads(ended.stdout)]
        fault = "it takes too long or too much memory to render"
    return [Rendering("", fault) for _ in conversations]
