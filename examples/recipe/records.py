"""Texts and what stands in them as JSON: fields that a schema names, their values copied from the text."""

import json
from random import Random
from typing import Any, NamedTuple

from examples.recipe import forms
from examples.recipe.facts import Fact, capital
from examples.recipe.functions import WORDS
from examples.recipe.text import Writer
from examples.recipe.values import draw_value
from examples.recipe.words import COLOURS, DAYS, KINDS, THINGS

STATES = ("open", "paid", "new", "active", "free", "full", "ready", "closed", "public", "urgent")
NOTHING: dict[str, Any] = {"string": "unknown", "integer": 0, "boolean": False, "array": []}
TEXT_KINDS = ("person", "place", "date", "time", "code", "name", "word", "mail", "colour", "day")

LINES = (
    "The {n} is {v}.",
    "The {n} is {v}.",
    "{N}: {v}",
    "{N}: {v}.",
    "Its {n} is {v}.",
    "The {n}: {v}.",
)
ASKED = (
    "{t}\n\nWrite this as JSON.", "{t}\nAnswer as JSON.", "Write as JSON: {t}", "Extract the data: {t}",
    "Extract the data as JSON: {t}", "{t}\n\nExtract the data.", "Give me this as JSON: {t}",
)  # fmt: skip
WITH_KEYS = (
    "{t}\n\nWrite this as JSON with {k}.", "{t}\n\nExtract {k} as JSON.", "Extract {k}: {t}",
    "{t}\nAnswer as JSON with the keys {k}.", "What are {k}? {t}",
)  # fmt: skip
WITH_SCHEMA = (
    "{t}\n\nAnswer as JSON that matches this schema: {s}", "Extract the data as JSON of this schema: {s}\n\n{t}",
    "{t}\n\n{s}",
)  # fmt: skip


class Field(NamedTuple):
    """One field: its name, its schema, its value, and how the text says it; nothing when the text does not."""

    name: str
    schema: dict[str, Any]
    value: Any
    said: str


class Record(NamedTuple):
    """What somebody asks, the schema, the answer, and whether the question says that it is JSON, and of what keys."""

    question: str
    schema: dict[str, Any]
    answer: str
    is_clear: bool
    names_keys: bool = False


def compact(value: Any) -> str:
    """JSON without blanks, as the service's grammar has it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class Records:
    """Draws records with the words of a writer."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.draw = writer.draw
        self.random: Random = writer.random
        self._mark = ""

    def record(self) -> Record:
        """A text, a schema of one to four fields, and the object. Texts mostly stand in quotes, as for functions."""
        r = self.random
        self._mark = '"' if r.random() < 0.65 else ""
        chosen, text = self._usual() if r.random() < 0.15 else self._drawn()
        keys = [field.name for field in chosen]
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {field.name: field.schema for field in chosen},
            "required": keys,
        }
        if r.random() < 0.5:
            schema["additionalProperties"] = False
        answer = compact({field.name: field.value for field in chosen})
        question, *told = self._asked(text.strip(), keys, schema)
        return Record(question, schema, answer, *told)

    def _usual(self) -> tuple[list[Field], str]:
        """A sentence of its own form, and some of what it says."""
        r = self.random
        row = r.choice(WORDS["texts"])
        fields: list[Field] = []
        values: dict[str, Any] = {}
        for name, kind in row["kinds"].items():
            is_number = kind == "integer"
            value: Any = (
                int(self.draw.number(2, 2030)) if is_number else draw_value(self.draw, kind)
            )
            values[name] = value if is_number else self._quoted(value)
            schema = {"type": "integer" if is_number else "string"}
            fields.append(Field(name, schema, value, ""))
        kept = r.sample(fields, r.randint(1, len(fields))) if r.random() < 0.4 else fields
        return kept, row["form"].format(**values)

    def _drawn(self) -> tuple[list[Field], str]:
        """Sentences about one thing, each with a field."""
        r = self.random
        fields: dict[str, Field] = {}
        entity = self.draw.entity()
        count = r.choice((1, 2, 2, 3, 3, 4))
        while len(fields) < count:
            field = self._field(entity)
            fields.setdefault(field.name, field)
        chosen = [*fields.values()]
        said = [field.said for field in chosen if field.said]
        if r.random() < 0.3:
            said.append(self._field(entity).said)
        if r.random() < 0.35:
            r.shuffle(said)
        text = r.choice((" ", " ", "\n")).join(filter(None, said))
        if r.random() < 0.3:
            text = f"{capital(entity)}\n{text}"
        return chosen, text

    def _asked(self, text: str, keys: list[str], schema: dict[str, Any]) -> tuple[str, bool, bool]:
        r = self.random
        which = r.random()
        if which < 0.35:
            return r.choice(ASKED).format(t=text), True, False
        if which < 0.65:
            *most, last = keys if r.random() < 0.5 else [key.replace("_", " ") for key in keys]
            named = f"{', '.join(most)} and {last}" if most else last
            return r.choice(WITH_KEYS).format(t=text, k=named), True, True
        if which < 0.75:
            return r.choice(WITH_SCHEMA).format(t=text, s=json.dumps(schema)), True, True
        if which < 0.85:
            return self.writer.fact().question(r) + r.choice(("\n", " ")) + text, False, False
        return text, False, False

    def _field(self, entity: str) -> Field:
        r = self.random
        which = r.random()
        if which < 0.12:
            return self._state()
        if which < 0.22:
            return self._several()
        noun = self._noun()
        name = noun.replace(" ", "_").replace("-", "_")
        if which < 0.45:
            value: Any = int(self.draw.number(1, 9999))
            schema: dict[str, Any] = {"type": "integer"}
        elif which < 0.58:
            words = r.sample(r.choice((COLOURS, DAYS, KINDS)), 3)
            value, schema = r.choice(words), {"type": "string", "enum": words}
        else:
            kind = r.choice(TEXT_KINDS)
            value, schema = draw_value(self.draw, kind), {"type": "string"}
        if r.random() < 0.07 and "enum" not in schema:
            return Field(name, schema, NOTHING[schema["type"]], "")
        said = str(value) if schema != {"type": "string"} else self._quoted(value)
        return Field(name, schema, value, self._line(entity, noun, said))

    def _quoted(self, text: str) -> str:
        return f"{self._mark}{text}{self._mark}"

    def _line(self, entity: str, noun: str, value: str) -> str:
        r = self.random
        if r.random() < 0.4:
            attribute = forms.Attribute(noun, "")
            return Fact(entity, attribute, value).fill(r.choice(forms.STATEMENTS))
        return r.choice(LINES).format(n=noun, N=capital(noun), v=value)

    def _noun(self) -> str:
        r = self.random
        which = r.random()
        if which < 0.4:
            return self.writer.attribute().noun
        if which < 0.8:
            return r.choice(
                (
                    r.choice(r.choice(WORDS["arguments"])["names"]).replace("_", " "),
                    r.choice(THINGS),
                )
            )
        return f"{r.choice(KINDS)} {r.choice(THINGS)}"

    def _state(self) -> Field:
        r = self.random
        state = r.choice(STATES)
        value = r.random() < 0.5
        name = r.choice((state, state, f"is_{state}"))
        said = (
            r.choice((f"It is {state}.", f"It is {state} now.")) if value else f"It is not {state}."
        )
        if r.random() < 0.3:
            said = f"{capital(state)}: {'yes' if value else 'no'}"
        return Field(name, {"type": "boolean"}, value, said)

    def _several(self) -> Field:
        r = self.random
        noun = r.choice(THINGS)
        make = r.choice((self.draw.name, self.draw.word, lambda: r.choice(COLOURS)))
        items = [make() for _ in range(r.choice((1, 2, 2, 3)))]
        *most, last = map(self._quoted, items)
        listed = f"{', '.join(most)} and {last}" if most else last
        said = r.choice(("The {n}s are {v}.", "{N}s: {v}", "The {n}s: {v}."))
        schema = {"type": "array", "items": {"type": "string"}}
        return Field(f"{noun}s", schema, items, said.format(n=noun, N=capital(noun), v=listed))
