"""The process that renders one Jinja template in jinja2's immutable sandbox: run by path, with limits.

    python -P template_child.py

It reads the template and the variables of each rendering, and writes the texts, each with what went wrong or null.
"""

import json
import sys
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_TEXT_CHARACTERS = 1_000_000


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
        if len(text) > MAX_TEXT_CHARACTERS:  # the caller reads all of it
            fault = f"it writes {len(text)} characters; {MAX_TEXT_CHARACTERS} are allowed"
            answers.append(("", fault))
        else:
            answers.append((text, None))
    return answers


def _short(fault: str) -> str:
    return fault[:500]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_answers(*json.load(sys.stdin.buffer))))
