"""Checks a chat template before llama.cpp is given it: it must parse and render one short conversation.

Templates are programs. This one is only ever run in jinja2's immutable sandbox, in a child process with bounds on
time and memory: `check_template` starts it, `python templates.py SECONDS` is it.
"""

import json
import resource
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_TEMPLATE_CHARACTERS = 100_000
_MAX_MEMORY_BYTES = 512 * 2**20
_CONVERSATIONS = (
    [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}],
    [{"role": "user", "content": "Hello"}],
)


def check_template(template: str, *, seconds: int = 2) -> str | None:
    """What is wrong with a chat template, or None. Blocks for some tenths of a second; call it from a thread."""
    if len(template) > MAX_TEMPLATE_CHARACTERS:
        return f"it has {len(template)} characters; {MAX_TEMPLATE_CHARACTERS} are allowed"
    command = [sys.executable, "-P", str(Path(__file__).resolve()), str(seconds)]
    try:
        ended = subprocess.run(  # noqa: S603
            command, input=json.dumps(template).encode(), capture_output=True, timeout=seconds + 25
        )
    except subprocess.TimeoutExpired:
        return "it takes too long to render"
    if ended.returncode != 0:
        return "it takes too long or too much memory to render"
    reason = json.loads(ended.stdout)
    return reason if isinstance(reason, str) else None


class _Generation(Extension):
    """`{% generation %}`: marks what the assistant says, for training; it renders as its content."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)


def _fault(source: str) -> str | None:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = lambda value, **_: json.dumps(value)
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    fault: str | None = None
    try:
        template = environment.from_string(source)
    except (TemplateError, RecursionError) as error:
        return f"it does not parse: {error}"
    for conversation in _CONVERSATIONS:
        values: dict[str, Any] = {"bos_token": "<s>", "eos_token": "</s>", "tools": None}
        try:
            text = template.render(messages=conversation, add_generation_prompt=True, **values)
        except Exception as error:  # a template can raise anything
            fault = f"it does not render: {error}"
            continue
        if "Hello" in text:
            return None
        fault = "what the user says is not in what it renders"
    return fault


def _main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY_BYTES, _MAX_MEMORY_BYTES))
    seconds = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    fault = _fault(json.loads(sys.stdin.buffer.read()))
    sys.stdout.write(json.dumps(fault and fault[:500]))


if __name__ == "__main__":
    _main()
