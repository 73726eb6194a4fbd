"""Functions that can be called, and what people say so that one of them is called, drawn from `functions.toml`."""

import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from examples.recipe.facts import capital
from examples.recipe.values import draw_value
from examples.recipe.words import COLOURS, DAYS, KINDS, THINGS, Draw, reserved
from examples.recipe.words import WORDS as LISTS

WORDS: dict[str, Any] = tomllib.loads(Path(__file__).with_name("functions.toml").read_text())
CANNOT: str = WORDS["cannot"]
Value = str | int


class Argument(NamedTuple):
    """One argument: its name, the kind of its values, how they are said, and all of them when they are few."""

    name: str
    kind: str
    phrases: tuple[str, ...] = ()
    among: tuple[str, ...] = ()

    @property
    def schema(self) -> dict[str, Any]:
        """Its JSON schema."""
        if self.among:
            return {"type": "string", "enum": [*self.among]}
        return {"type": "integer" if self.kind == "integer" else "string"}

    def draw(self, draw: Draw) -> Value:
        """A fresh value."""
        if self.among:
            return draw.random.choice(self.among)
        if self.kind == "integer":
            return int(draw.number(1, 999))
        return draw.thing() if self.kind == "thing" else draw_value(draw, self.kind)


class Function(NamedTuple):
    """A function: what it takes, and its verb and object or the questions that it answers."""

    name: str
    description: str
    arguments: tuple[Argument, ...]
    verbs: tuple[str, ...] = ()
    thing: str = ""
    questions: tuple[str, ...] = ()

    @property
    def tool(self) -> dict[str, Any]:
        """As it is offered."""
        parameters = {
            "type": "object",
            "properties": {one.name: one.schema for one in self.arguments},
            "required": [one.name for one in self.arguments],
        }
        function = {"name": self.name, "description": self.description, "parameters": parameters}
        if not self.description:
            del function["description"]
        return {"type": "function", "function": function}


class Request(NamedTuple):
    """What somebody wants done, and the call that does it."""

    text: str
    name: str
    arguments: dict[str, Value]


class Functions:
    """Draws functions and requests."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.random = draw.random

    def function(self, like: Function | None = None) -> Function:
        """A drawn function; one that is like another shares its verb or its object."""
        r = self.random
        verb, does, other = r.choice(WORDS["verbs"])
        kind, noun = r.choice(KINDS), r.choice(THINGS)
        if like and like.thing:
            if r.random() < 0.5:
                verb, does, other = next(v for v in WORDS["verbs"] if v[0] == like.verbs[0])
            else:
                kind, _, noun = like.thing.rpartition(" ")
        thing = f"{kind} {noun}" if kind and r.random() < 0.5 else noun
        name = f"{verb}_{thing}".replace(" ", "_").replace("-", "_")
        shape = r.random()
        description = (
            f"{does} {_article(thing)} {thing}." if shape < 0.4 else f"{does} the {thing}."
        )
        description = "" if shape > 0.85 else description
        return Function(name, description, self._arguments(), (verb, other), thing)

    def offered(self, count: int) -> list[Function]:
        """Several functions with names of their own; when measured, none that training may have seen."""
        r = self.random
        chosen: dict[str, Function] = {}
        while len(chosen) < count:
            if not self.draw.held_out and r.random() < 0.25:
                one = self._usual(r.choice(WORDS["usual"]))
            else:
                like = r.choice([*chosen.values()]) if chosen and r.random() < 0.4 else None
                one = self._fresh(like)
            chosen.setdefault(one.name, one)
        functions = [*chosen.values()]
        r.shuffle(functions)
        return functions

    def _fresh(self, like: Function | None) -> Function:
        """A drawn function whose name is on the right side."""
        while reserved((one := self.function(like)).name) != self.draw.held_out:
            pass
        return one

    def request(self, function: Function) -> Request:
        """A wish that the function fulfils. Texts mostly stand in quotes, where they have the tokens of JSON."""
        r = self.random
        values = {one.name: one.draw(self.draw) for one in function.arguments}
        mark = '"' if r.random() < (0.3 if function.questions else 0.7) else ""
        said = {one.name: _said(one, values[one.name], mark) for one in function.arguments}
        if function.questions:
            text = r.choice(function.questions).format(*said.values())
            return Request(text, function.name, values)
        order = [*function.arguments]
        if r.random() < 0.25:
            r.shuffle(order)
        phrases = ""
        for one in order:
            phrases += self._phrase(one, said[one.name], phrases)
        verb = function.verbs[r.random() < 0.2]
        text = r.choice(WORDS["requests"]).format(
            v=verb,
            V=capital(verb),
            s=_article(function.thing),
            o=function.thing,
            a=phrases,
        )
        return Request(text, function.name, values)

    def _phrase(self, argument: Argument, said: str, before: str) -> str:
        """How an argument is said; by its name where the preposition was used before."""
        own = argument.phrases and self.random.random() < 0.6
        form: str = self.random.choice(argument.phrases if own else WORDS["phrases"])
        if form[:4] in before:
            form = self.random.choice(WORDS["phrases"])
        return form.format(n=argument.name.replace("_", " "), v=said)

    def _arguments(self) -> tuple[Argument, ...]:
        r = self.random
        chosen = {
            one.name: one
            for one in map(self._argument, r.sample(WORDS["arguments"], r.choice((1, 1, 2))))
        }
        return tuple(chosen.values())

    def _argument(self, row: dict[str, Any]) -> Argument:
        r = self.random
        name = r.choice(row["names"])
        if r.random() < 0.15:
            name = f"{r.choice(THINGS)}_{name}"
        among: tuple[str, ...] = ()
        if row["kind"] == "enum":
            words = r.choice((COLOURS, DAYS, LISTS["materials"], KINDS))
            among = tuple(r.sample(words, r.choice((2, 3, 3, 4))))
        return Argument(name, row["kind"], tuple(row["phrases"]), among)

    def _usual(self, row: dict[str, Any]) -> Function:
        r = self.random
        arguments = tuple(Argument(r.choice(names), kind) for names, kind in row["arguments"])
        name, description = r.choice(row["names"]), r.choice(row["descriptions"])
        return Function(name, description, arguments, questions=tuple(row["questions"]))


def _article(thing: str) -> str:
    return "an" if thing[0] in "aeiou" else "a"


def _said(argument: Argument, value: Value, mark: str) -> str:
    """A value as it is said; only free texts stand in quotes."""
    is_text = isinstance(value, str) and not argument.among
    return f"{mark}{value}{mark}" if is_text else str(value)
