"""Whole conversations for training and measuring: questions on passages, rephrasings, personas, small talk."""

import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from examples.recipe import forms
from examples.recipe.facts import Fact, small
from examples.recipe.prompts import REFUSAL, answer_prompt, expand_prompt
from examples.recipe.text import Context, Shape, Writer
from examples.recipe.words import PEOPLE, THINGS

Message = dict[str, Any]
"""A message, as chat templates take it. `given` is how the grammar begins it, which is not learned."""

TALK: dict[str, Any] = tomllib.loads(Path(__file__).with_name("talk.toml").read_text())


class Sample(NamedTuple):
    """A conversation whose assistant turns are what is learned, or measured."""

    kind: str
    messages: list[Message]
    tools: tuple[dict[str, Any], ...] = ()


def turn(role: str, content: str) -> Message:
    """One message."""
    return {"role": role, "content": content}


class Conversations:
    """Draws conversations of every kind."""

    questions: tuple[int, ...] = (1, 4, 6, 8, 10)
    """How many may be asked about one context."""

    def __init__(self, seed: int | str, held_out: bool = False) -> None:
        self.writer = Writer(seed, held_out)
        self.random = self.writer.random

    def persona(self) -> tuple[str, str, str, str]:
        """A system message, and the name, role and company in it."""
        r, draw = self.random, self.writer.draw
        name = draw.name() if r.random() < 0.5 else draw.person().split(" ")[0]
        if r.random() < 0.1:
            name = draw.person()
        company = draw.name()
        role = r.choice(TALK["roles"])
        company = company if "{c}" in role else ""
        role = role.format(c=company, w=r.choice(PEOPLE), t=r.choice(THINGS))
        system = r.choice(TALK["systems"]).format(n=name, r=role)
        for _ in range(r.choice((0, 0, 1, 1, 2))):
            system += " " + r.choice(TALK["manners"]).format(w=r.choice(PEOPLE), t=r.choice(THINGS))
        return system, name, role, company

    def _maybe_system(self, share: float) -> list[Message]:
        return [turn("system", self.persona()[0])] if self.random.random() < share else []

    def _question(self, context: Context, refuse: float) -> tuple[str, str]:
        r = self.random
        if context.missing and r.random() < refuse:
            return context.missing.pop().question(r), REFUSAL
        fact, number = context.facts[r.randrange(len(context.facts))]
        context.facts.remove((fact, number))
        return fact.question(r), f"{fact.answer} [{number}]."

    def from_passages(
        self, shape: Shape, questions: int, refuse: float = 0.22, system: float = 0.4
    ) -> Sample:
        """Questions on one context, the first in the served form; later ones stand alone."""
        r = self.random
        context = self.writer.context(shape)
        messages = self._maybe_system(system)
        if r.random() < 0.1:
            messages += self.unknown().messages[-2:]
        for index in range(questions):
            if not context.facts:
                break
            question, answer = self._question(context, refuse)
            content = question if index else answer_prompt(question, context.blocks)
            messages += [turn("user", content), turn("assistant", answer)]
        return Sample("passages", messages)

    def rephrase(self, count: int | None = None) -> Sample:
        """The expansion prompt, its answer in a fixed order of forms."""
        r = self.random
        count = count or r.choice((1, 2, 3, 3, 3, 3, 4))
        fact = self.writer.rule() if r.random() < 0.12 else self.writer.fact()
        question = fact.question(r)
        messages = self._maybe_system(0.2)
        if isinstance(fact, Fact) and r.random() < 0.12:
            return Sample("rephrase", [*messages, *self._in_conversation(fact, count)])
        ways = self._ways(fact, question)
        messages += [
            turn("user", expand_prompt(question, count)),
            turn("assistant", "\n".join(ways[:count])),
        ]
        return Sample("rephrase", messages)

    @staticmethod
    def _ways(fact: object, question: str) -> list[str]:
        if isinstance(fact, Fact):
            return [way for way in map(fact.fill, forms.REPHRASINGS) if way != question]
        return [way.format(q=small(question)) for way in TALK["other_ways"]]

    def _in_conversation(self, fact: Fact, count: int) -> list[Message]:
        """Stand-alone rephrasings of a question that leans on the turn before it."""
        r = self.random
        before = self.writer.fact(entity=fact.entity)
        user, assistant = r.choice(
            (("User: ", "Assistant: "), ("user: ", "assistant: "), ("Q: ", "A: "))
        )
        turns = f"{user}{before.question(r)}\n{assistant}{before.answer}."
        question = fact.fill(
            r.choice(("And its {a}?", "And the {a}?", "What is its {a}?", "What about its {a}?"))
        )
        ways = self._ways(fact, "")
        return [
            turn("user", expand_prompt(question, count, turns)),
            turn("assistant", "\n".join(ways[:count])),
        ]

    def greeting(self) -> Sample:
        """Small talk as the persona that the system message gives, or as nobody in particular."""
        r = self.random
        known = r.random() < 0.88
        system, name, role, company = self.persona() if known else ("", "", "a small assistant", "")
        me = f"{name}, {role}" if known else role
        messages = [turn("system", system)] if known else []
        for _ in range(r.choice((1, 1, 2, 3))):
            messages += self._greeting_turn(me, name, company)
        return Sample("persona", messages)

    def _greeting_turn(self, me: str, name: str, company: str) -> list[Message]:
        r = self.random
        which = r.random()
        if which < 0.4:
            question, answer = r.choice(TALK["who"]), f"Hello, I am {me}."
        elif which < 0.55:
            question, answer = r.choice(TALK["who_plain"]), f"I am {me}."
        elif which < 0.68:
            question, answer = r.choice(TALK["hello"]), f"Hello, I am {me}. How can I help you?"
        elif which < 0.8:
            question, answer = (
                r.choice(TALK["name"]),
                f"My name is {name}." if name else "I have no name.",
            )
        elif which < 0.88:
            question, answer = (
                r.choice(TALK["employer"]),
                f"I work for {company}." if company else "I work for you.",
            )
        else:
            talk = r.choice(TALK["talk"])
            question, answer = r.choice(talk["questions"]), talk["answer"]
        return [turn("user", question), turn("assistant", answer)]

    def unknown(self) -> Sample:
        """A factual question without passages: it is not known, and which fact is not known is said."""
        r = self.random
        messages = self._maybe_system(0.35)
        for _ in range(r.choice((1, 1, 2))):
            fact = self.writer.rule() if r.random() < 0.1 else self.writer.fact()
            answer = (
                f"I do not know the {fact.attribute.noun} of {fact.entity}."
                if isinstance(fact, Fact)
                else ("I do not know that.")
            )
            messages += [turn("user", fact.question(r)), turn("assistant", answer)]
        return Sample("unknown", messages)

    def draw(self, progress: float) -> Sample:
        """A sample for training; contexts grow as training goes on (`progress` from 0 to 1)."""
        r = self.random
        which = r.random()
        if which < 0.12:
            return self.rephrase()
        if which < 0.21:
            return self.greeting()
        if which < 0.28:
            return self.unknown()
        return self.from_passages(self._shape(progress), r.choice(self.questions))

    def _shape(self, progress: float) -> Shape:
        r = self.random
        hard = 0.75
        if progress > 0.3 and r.random() < 0.05:
            return Shape((4, 6), (1, 4), hard, words=r.choice((30, 45, 60)))
        which = r.random() + (0.0 if progress > 0.3 else 0.5 if progress > 0.12 else 1.0)
        if which < 0.05:
            return Shape((1, 3), (1, 4), hard, words=r.choice((60, 80)))
        if which < 0.15:
            return Shape((1, 4), (1, 3), hard, words=r.choice((25, 40)))
        if which < 0.5:
            return Shape((4, 6), (1, 3), hard)
        if which < 0.8:
            return Shape((1, 4), (1, 3), hard)
        return Shape((2, 4), (1, 1), hard)
