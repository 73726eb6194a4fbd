"""Contexts of numbered passages for the demo model's text, and what can and cannot be asked about them.

Every one is drawn fresh, so nothing is learned by heart but the task itself.
"""

import textwrap
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from examples.recipe import forms
from examples.recipe.facts import AnyFact, Fact, RuleFact, capital, small
from examples.recipe.forms import Attribute, clashes
from examples.recipe.prompts import passage_block
from examples.recipe.values import draw_value
from examples.recipe.words import COLOURS, DAYS, KINDS, MONTHS, NOUNS, PEOPLE, THINGS, Draw


class Context(NamedTuple):
    """Passages in their served form, the facts with the number of their passage, and what cannot be answered."""

    blocks: list[str]
    facts: list[tuple[AnyFact, int]]
    missing: list[Fact]


class Shape(NamedTuple):
    """How contexts are drawn; the ranges are inclusive."""

    passages: tuple[int, int] = (1, 6)
    sentences: tuple[int, int] = (1, 3)
    hard: float = 0.7
    words: int = 0
    plain: bool = False


class Writer:
    """Writes samples; `held_out` writes only with names and values that training never sees."""

    def __init__(self, seed: int | str, held_out: bool = False) -> None:
        self.random = Random(seed)
        self.draw = Draw(self.random, held_out)

    def attribute(self) -> Attribute:
        """A usual attribute, or one of random words, so that it must be matched and not known."""
        r = self.random
        if r.random() < 0.7:
            return r.choice(forms.ATTRIBUTES)
        first = r.choice((r.choice(KINDS), r.choice(COLOURS), r.choice(THINGS), self.draw.word()))
        noun = r.choice(
            (
                r.choice(NOUNS),
                f"{first} {r.choice(NOUNS)}",
                f"{first} {r.choice(NOUNS)}",
                self.draw.word(),
            )
        )
        kind = r.choice(
            (
                "number",
                "number",
                "name",
                "word",
                "code",
                "measure",
                "percent",
                "place",
                "person",
                "object",
            )
        )
        return Attribute(noun, kind)

    def fact(self, entity: str | None = None, attribute: Attribute | None = None) -> Fact:
        """A fact; what is not given is drawn."""
        attribute = attribute or self.attribute()
        return Fact(entity or self.draw.entity(), attribute, draw_value(self.draw, attribute.kind))

    def rule(self) -> RuleFact:
        """A drawn rule."""
        r, d = self.random, self.draw
        who = r.choice(PEOPLE)
        if r.random() < 0.3:
            who = f"{r.choice(KINDS)} {who}"
        things = r.choice((r.choice(THINGS), f"{r.choice(KINDS)} {r.choice(THINGS)}")) + "s"
        return RuleFact(
            r.choice(forms.RULES),
            {
                "w": who,
                "W": capital(who),
                "n": d.number(2, 60),
                "s": things.replace("ys", "ies"),
                "e": d.thing(),
                "o": draw_value(d, "object"),
                "p": d.person(),
                "d": r.choice(DAYS),
                "c": draw_value(d, "time"),
                "u": r.choice(forms.PERIODS),
            },
        )

    def _facts(self, count: int, hard: bool) -> tuple[list[AnyFact], list[Fact]]:
        """Facts of one context and questions it cannot answer; hard ones share things and attributes."""
        r = self.random
        facts: list[AnyFact] = []
        missing: list[Fact] = []
        if hard:
            things = [self.draw.entity()]
            while len(things) < r.randint(2, max(2, count // 2)):
                things.append(self.draw.near(things[0]) if r.random() < 0.4 else self.draw.entity())
            attributes = [self.attribute() for _ in range(r.randint(2, max(2, count // 2 + 1)))]
            cells = [
                (e, a)
                for e in dict.fromkeys(things)
                for a in {a.noun: a for a in attributes}.values()
            ]
            r.shuffle(cells)
            for entity, attribute in cells[:count]:
                self._add(facts, self.fact(entity, attribute))
            missing = [self.fact(e, a) for e, a in cells[count:]]
            missing += [self.fact(r.choice(things)) for _ in range(2)]
            missing += [self.fact(attribute=r.choice(attributes)) for _ in range(2)]
        while len(facts) < count:
            if r.random() < 0.1:
                facts.append(self.rule())
            else:
                self._add(facts, self.fact())
        missing += [self.fact() for _ in range(1 if hard else 3)]
        r.shuffle(facts)
        r.shuffle(missing)
        attributes_of: dict[str, set[str]] = {}
        for fact in facts:
            if isinstance(fact, Fact):
                attributes_of.setdefault(fact.entity, set()).add(fact.attribute.noun)
        return facts, [
            m for m in missing if not clashes(m.attribute.noun, attributes_of.get(m.entity, set()))
        ]

    @staticmethod
    def _add(facts: list[AnyFact], fact: Fact) -> None:
        taken = {f.attribute.noun for f in facts if isinstance(f, Fact) and f.entity == fact.entity}
        if not clashes(fact.attribute.noun, taken):
            facts.append(fact)

    def _sentence(self, fact: AnyFact, follows: bool) -> tuple[str, bool]:
        """The fact as a sentence, with what surrounds sentences in real text; whether its thing is the subject.

        `follows`: the sentence before is about the same thing, so `It` may stand for it here.
        """
        r = self.random
        if isinstance(fact, RuleFact):
            return fact.fill(r.choice(fact.rule.statements)), False
        own = fact.attribute.statements
        form = r.choice(own if own and r.random() < 0.65 else forms.STATEMENTS)
        subject = form.startswith("{E} ")
        if follows and r.random() < 0.5:
            return fact.fill("It " + form[4:] if subject else "Its {a} is {v}."), subject
        if r.random() < 0.12:
            starts = form.startswith(("{E}", "{V}"))
            form = (
                r.choice(forms.BEFORE)
                + " "
                + ("{" + form[1].lower() + form[2:] if starts else small(form))
            )
            subject = False
        if r.random() < 0.12:
            after = r.choice(forms.AFTER)
            form = form[:-1] + ("" if after[0] == "," else " ") + after + "."
            subject = False
        p = self.draw.person() if "{p}" in form else ""
        return fact.fill(form.replace("{p}", p).replace("{d}", r.choice(MONTHS))), subject

    def filler(self, entity: str) -> str:
        """A sentence that answers nothing."""
        r, d = self.random, self.draw
        form = r.choice(forms.FILLERS)
        p = d.person()
        return form.format(
            e=entity,
            E=capital(entity),
            f=d.entity() if "{f}" in form else "",
            p=p,
            P=p,
            q=d.person() if "{q}" in form else "",
            w=r.choice(PEOPLE),
            d=r.choice(DAYS),
        )

    def _passage(self, facts: Sequence[AnyFact], shape: Shape) -> str:
        """The text of one passage: a heading sometimes, sentences, line breaks as PDFs have them."""
        r = self.random
        sentences: list[str] = []
        previous = ""
        chained = False
        entities = [f.entity for f in facts if isinstance(f, Fact)] or [self.draw.entity()]
        for fact in facts:
            thing = fact.entity if isinstance(fact, Fact) else ""
            text, subject = self._sentence(fact, thing != "" and thing == previous)
            if chained and subject and text.startswith("It ") and r.random() < 0.5:
                text = sentences.pop()[:-1] + " and " + text[3:]
            sentences.append(text)
            previous, chained = thing, subject
        extra = shape.sentences[1] > 1 and not shape.words
        while extra and r.random() < 0.3:
            self._insert(sentences, entities)
        while shape.words and len(" ".join(sentences).split()) < shape.words - 5:
            self._insert(sentences, entities)
        text = " ".join(sentences)
        if shape.plain:
            return text
        if r.random() < 0.25:
            text = textwrap.fill(text, r.randint(45, 110), break_on_hyphens=False)
        if r.random() < 0.35:
            entity = r.choice(entities)
            heading = r.choice(
                (
                    entity.removeprefix("the "),
                    r.choice(KINDS) + " " + r.choice(THINGS),
                    r.choice(NOUNS),
                )
            )
            if r.random() < 0.15:
                heading = f"{r.randint(1, 12)}. {capital(heading)}"
            text = capital(heading) + r.choice(("\n", "\n", "\n\n")) + text
        return text

    def _insert(self, sentences: list[str], entities: Sequence[str]) -> None:
        """Put a filler somewhere, never between a thing and the `It` that stands for it."""
        r = self.random
        entity = r.choice(entities) if r.random() < 0.4 else self.draw.entity()
        free = [
            i
            for i in range(len(sentences) + 1)
            if i == len(sentences) or not sentences[i].startswith(("It ", "Its "))
        ]
        sentences.insert(r.choice(free), self.filler(entity))

    def context(self, shape: Shape) -> Context:
        """Numbered passages in their served form."""
        r = self.random
        passages = r.randint(*shape.passages)
        sizes = [r.randint(*shape.sentences) for _ in range(passages)]
        facts, missing = self._facts(sum(sizes), r.random() < shape.hard)
        documents = [self.draw.document() for _ in range(r.choice((1, 1, 1, 2, passages)))]
        blocks: list[str] = []
        numbered: list[tuple[AnyFact, int]] = []
        rest = list(facts)
        for number, size in enumerate(sizes, 1):
            mine, rest = rest[:size], rest[size:]
            if r.random() < 0.5:
                mine.sort(key=lambda f: f.entity if isinstance(f, Fact) else "")
            blocks.append(
                passage_block(
                    number, self._passage(mine, shape), r.choice(documents), r.randint(1, 99)
                )
            )
            numbered += [(fact, number) for fact in mine]
        return Context(blocks, numbered, missing)
