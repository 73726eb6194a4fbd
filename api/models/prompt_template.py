"""Templates of prompts: words around what a user asks, with `{input}`, `{context}` and variables in them, by name."""

import string
from collections.abc import Mapping

from api.errors import InvalidOption

INPUT, CONTEXT = "input", "context"
MAX_CHARACTERS = 20_000
MAX_VARIABLES = 64
MAX_VALUE_CHARACTERS = 100_000
MAX_KEPT_CHARACTERS = 100_000
"""Of all values that are kept with a model: they are read with each list of models."""


def names_in(template: str, where: str) -> list[str]:
    """What stands in braces in a template, in its order; `errors.InvalidOption` for anything but plain names there."""
    if len(template) > MAX_CHARACTERS:
        raise InvalidOption.at(where, f"at most {MAX_CHARACTERS} characters.")
    try:
        parts = [part[1:] for part in string.Formatter().parse(template)]
    except ValueError as error:
        raise InvalidOption.at(where, f"{error}. Write a brace of the text twice.") from None
    names = [(name, spec, said) for name, spec, said in parts if name is not None]
    if wrong := [name for name, spec, said in names if spec or said or not name.isidentifier()]:
        raise InvalidOption.at(
            where,
            f"{{{wrong[0][:80]}}} is no plain name; only names stand in braces. Write other braces twice.",
        )
    return [name for name, _, _ in names]


def check_prompt_template(template: str, variables: Mapping[str, str]) -> None:
    """`errors.InvalidOption` for one that cannot be used, and for a value of a variable that stands nowhere in it."""
    names = names_in(template, "prompt_template")
    if template and names.count(INPUT) != 1:
        raise InvalidOption.at("prompt_template", "{input}, what a user asks, stands in it once.")
    if names.count(CONTEXT) > 1 or len(names) > MAX_VARIABLES:
        raise InvalidOption.at(
            "prompt_template", f"{{context}} once at most, and {MAX_VARIABLES} names in all."
        )
    _require_known(variables_in(template), variables)
    if sum(map(len, variables.values())) > MAX_KEPT_CHARACTERS:
        raise InvalidOption.at(
            "variables", f"at most {MAX_KEPT_CHARACTERS} characters in all are kept."
        )


def variables_in(template: str) -> set[str]:
    """The names that a request may give values to."""
    return {*names_in(template, "prompt_template")} - {INPUT, CONTEXT}


def values_of(
    template: str, usual: Mapping[str, str], given: Mapping[str, str]
) -> Mapping[str, str]:
    """The value of each variable, the given one before the usual one; `errors.InvalidOption` names one that is missing,
    or that no variable is called by.
    """
    if not template and not given:
        return {}
    wanted = variables_in(template)
    _require_known(wanted, given)
    values = {**usual, **given}
    if missing := sorted(wanted - values.keys()):
        raise InvalidOption.at(
            "variables", f"{missing[0]!r} is missing, which the model's prompt_template needs."
        )
    return {name: values[name] for name in wanted}


def _require_known(wanted: set[str], values: Mapping[str, str]) -> None:
    if unknown := sorted(values.keys() - wanted):
        known = ", ".join(sorted(wanted)) or "none"
        raise InvalidOption.at(
            "variables",
            f"{unknown[0][:80]!r} is no variable of the model's prompt_template. It has: {known}.",
        )
    if long := [name for name, value in values.items() if len(value) > MAX_VALUE_CHARACTERS]:
        raise InvalidOption.at(
            "variables", f"{long[0]!r} has more than {MAX_VALUE_CHARACTERS} characters."
        )
