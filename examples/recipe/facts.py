"""Facts and rules: how they are said, asked and answered."""

from random import Random
from typing import NamedTuple

from examples.recipe import forms
from examples.recipe.forms import Attribute, Rule


def capital(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def small(text: str) -> str:
    """The text with a small first letter."""
    return text[:1].lower() + text[1:]


class Fact(NamedTuple):
    """One thing's attribute, its value, and how it is said, asked and answered."""

    entity: str
    attribute: Attribute
    value: str

    def fill(self, form: str) -> str:
        """The form with this fact's words in it."""
        e, v = self.entity, self.value
        return form.format(e=e, E=capital(e), a=self.attribute.noun, v=v, V=capital(v))

    @property
    def answer(self) -> str:
        return f"The {self.attribute.noun} of {self.entity} is {self.value}"

    def question(self, random: Random) -> str:
        """One of the many ways to ask for it."""
        own = self.attribute.questions
        form = random.choice(own if own and random.random() < 0.6 else forms.QUESTIONS)
        return self.fill(form)


class RuleFact(NamedTuple):
    """A rule with its words drawn, said, asked and answered in its own words."""

    rule: Rule
    words: dict[str, str]

    def fill(self, form: str) -> str:
        """The form with this rule's words in it."""
        return form.format(**self.words)

    @property
    def answer(self) -> str:
        return self.fill(self.rule.answer)

    def question(self, random: Random) -> str:
        """One of the ways to ask for it."""
        return self.fill(random.choice(self.rule.questions))


AnyFact = Fact | RuleFact
