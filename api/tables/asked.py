"""What a row is asked as: its prompt, the request for it, and what of an answer stands in the column."""

import json
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.errors import InvalidOption
from api.runtime.schemas import violation
from api.structured.values import NoValue, read
from api.tables.rows import Cells
from api.tables.types import Type, is_text

TYPE_OF: Mapping[str, Type] = {"integer": "integer", "number": "number", "boolean": "boolean"}
"""Of a JSON schema's; whatever else a value is, it is a text."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """How a row is asked: texts, and behind each the column whose cell follows, where one does."""

    parts: Sequence[tuple[str, str | None]]

    @property
    def columns(self) -> list[str]:
        """Those that it needs, each once."""
        return list(dict.fromkeys(name for _, name in self.parts if name is not None))

    def of(self, cells: Cells) -> str:
        """The prompt of a row; blank where all its cells are NULL or blank."""
        shown = [
            (text, (cells[name] or "") if name is not None else "") for text, name in self.parts
        ]
        if not any(cell.strip() for _, cell in shown):
            return ""
        return "".join(text + cell for text, cell in shown)


def prompt_of(input: str, columns: Sequence[str]) -> Prompt:
    """A column, whose cells are asked as they are; anything else is a template that names columns in braces.
    `errors.InvalidOption` for what names none.
    """
    if input in columns:
        return Prompt((("", input),))
    shown = ", ".join(map(repr, columns))[:500]
    try:
        parts = list(string.Formatter().parse(input))
    except ValueError as error:
        raise InvalidOption.at(
            "input", f"{error}; a brace of the text is written twice. Columns: {shown}."
        ) from error
    fields = [part[1:] for part in parts if part[1] is not None]
    for name, form, conversion in fields:
        if name not in columns:
            raise InvalidOption.at(
                "input", f"There is no column {(name or '')[:40]!r}. Columns: {shown}."
            )
        if form or conversion:
            raise InvalidOption.at("input", f"{{{name}}} has more in it than the name of a column.")
    if not fields:
        raise InvalidOption.at(
            "input", f"{input[:40]!r} is no column and has no {{column}} in it. Columns: {shown}."
        )
    return Prompt([part[:2] for part in parts])


def request_for(prompt: str, wanted: Mapping[str, Any]) -> bytes:
    """The body of `/v1/chat/completions`."""
    system = [{"role": "system", "content": wanted["system"]}] if wanted["system"] else []
    body = {
        **wanted["options"],
        "model": wanted["model"],
        "messages": [*system, {"role": "user", "content": prompt}],
    }
    for name in ("documents", "collection"):
        if wanted[name]:
            body[name] = wanted[name]
    if wanted["response_schema"] is not None:
        schema = {"name": "value", "schema": wanted["response_schema"]}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return json.dumps(body).encode()


def type_of(schema: Mapping[str, Any] | None) -> Type:
    """What a new column is."""
    said = (schema or {}).get("type")
    return TYPE_OF.get(said, "text") if isinstance(said, str) else "text"


def value_of(body: bytes, schema: Mapping[str, Any] | None) -> tuple[str | None, str | None]:
    """What stands in the column, as a text, or why nothing does."""
    choice = json.loads(body)["choices"][0]
    message = choice["message"]
    if message.get("refusal"):
        return None, str(message["refusal"])
    text = message["content"] or ""
    if not is_text(text):
        return None, "The answer holds half a surrogate pair."
    if schema is None:
        return (text, None) if text.strip() else (None, "The model said nothing.")
    try:
        value = read(text)
    except NoValue as error:
        cut = " It was cut off: raise max_tokens." if choice["finish_reason"] == "length" else ""
        return None, f"{error}{cut}"
    if wrong := violation(schema, value):
        return None, f"The value does not hold the schema: {wrong}."
    if value is None:
        return None, "The value is null."
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), None
