"""Renders Jinja chat templates, and checks one before llama.cpp is given it: it must render one short conversation.

Templates are programs. They are only ever run in jinja2's immutable sandbox, in a child process with bounds on
time and memory: `render` starts it, `python templates.py SECONDS` is it.
"""

import contextlib
import json
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_TEMPLATE_CHARACTERS = 100_000
_MAX_TEXT_CHARACTERS = 1_000_000
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
    command = [sys.executable, "-P", str(Path(__file__).resolve()), str(seconds)]
    asked = json.dumps([template, list(conversations)]).encode()
    with contextlib.suppress(subprocess.TimeoutExpired):
        ended = subprocess.run(command, input=asked, capture_output=True, timeout=seconds + 25)  # noqa: S603
        if ended.returncode == 0:
            return [Rendering(*answer) for answer in json.loads(ended.stdout)]
        fault = "it takes too long or too much memory to render"
    return [Rendering("", fault) for _ in conversations]


class _Generation(Extension):
    """`{% generation %}`: marks what the assistant says, for training; it renders as its content."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)


def _answers(source: str, conversations: list[dict[str, Any]]) -> list[tuple[str, str | None]]:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = lambda value, **_: json.dumps(value)
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    try:
        template = environment.from_string(source)
    except (TemplateError, RecursionError) as error:
        return [("", _short(f"it does not parse: {error}"))] * len(conversations)
    answers: list[tuple[str, str | None]] = []
    for values in conversations:
        try:
            text = template.render(values)
        except Exception as error:  # a template can raise anything
            answers.append(("", _short(f"it does not render: {error}")))
            continue
        if len(text) > _MAX_TEXT_CHARACTERS:  # the caller reads all of it
            fault = f"it writes {len(text)} characters; {_MAX_TEXT_CHARACTERS} are allowed"
            answers.append(("", fault))
        else:
            answers.append((text, None))
    return answers


def _short(fault: str) -> str:
    return fault[:500]


def _main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY_BYTES, _MAX_MEMORY_BYTES))
    seconds = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    sys.stdout.write(json.dumps(_answers(*json.load(sys.stdin.buffer))))


if __name__ == "__main__":
    _main()
