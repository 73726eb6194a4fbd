"""The sentence and question forms of the demo model's text, read from `forms.toml`.

Variety of forms is what carries over to real documents: a model trained on eight forms reads no ninth.
"""

import tomllib
from pathlib import Path
from typing import NamedTuple


class Attribute(NamedTuple):
    """What a thing can have: its noun in answers, its kind of value, and forms of its own."""

    noun: str
    kind: str
    statements: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()


class Rule(NamedTuple):
    """A free sentence with an answer of its own."""

    statements: tuple[str, ...]
    questions: tuple[str, ...]
    answer: str


_FORMS = tomllib.loads(Path(__file__).with_name("forms.toml").read_text())

STATEMENTS: tuple[str, ...] = tuple(_FORMS["statements"])
QUESTIONS: tuple[str, ...] = tuple(_FORMS["questions"])
REPHRASINGS: tuple[str, ...] = tuple(_FORMS["rephrasings"])
BEFORE: tuple[str, ...] = tuple(_FORMS["before"])
AFTER: tuple[str, ...] = tuple(_FORMS["after"])
FILLERS: tuple[str, ...] = tuple(_FORMS["fillers"])
PERIODS: tuple[str, ...] = tuple(_FORMS["periods"])
CONFUSED = tuple(frozenset(group) for group in _FORMS["confused"])
ATTRIBUTES = tuple(
    Attribute(row["noun"], row["kind"], tuple(row["statements"]), tuple(row["questions"]))
    for row in _FORMS["attributes"]
)
RULES = tuple(
    Rule(tuple(row["statements"]), tuple(row["questions"]), row["answer"])
    for row in _FORMS["rules"]
)


def clashes(noun: str, taken: set[str]) -> bool:
    """Whether a thing with the taken attributes would be ambiguous with this one too."""
    return noun in taken or any(noun in group and taken & group for group in CONFUSED)
