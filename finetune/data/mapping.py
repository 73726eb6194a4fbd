"""Which columns of a table are what: found by their names, or as the caller says.

    messages [tools]                                  conversations, OpenAI's form
    conversations [system] [tools]                    conversations, ShareGPT's form
    prompt, completion or response [system] [tools]   a question and its answer
    instruction, output or response [input or context] [system]   the same, Alpaca's and Dolly's form
    [prompt], chosen, rejected                        preferences
    input, preferred_output, non_preferred_output     preferences, OpenAI's form
    text                                              texts

In any of them a column `fold` says whether a row is for training, evaluation or test. Standard library only.
"""

import json
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from finetune.data.errors import DatasetError
from finetune.data.table import name_key

Kind = Literal["chat", "preference", "text"]
FOLD = "fold"


@dataclass(frozen=True, slots=True)
class Form:
    """One way to write a dataset: what it needs, what it may have, each under any of these names."""

    name: str
    kind: Kind
    needs: tuple[tuple[str, ...], ...]
    may_have: tuple[tuple[str, ...], ...] = ()


_SYSTEM, _TOOLS = ("system",), ("tools",)
FORMS = (
    Form("preferences", "preference", (("chosen",), ("rejected",)), (("prompt",), _SYSTEM)),
    Form(
        "openai_preferences",
        "preference",
        (("input",), ("preferred_output",), ("non_preferred_output",)),
    ),
    Form("messages", "chat", (("messages",),), (_TOOLS,)),
    Form("sharegpt", "chat", (("conversations", "conversation"),), (_SYSTEM, _TOOLS)),
    Form(
        "alpaca",
        "chat",
        (("instruction",), ("output", "response")),
        (("input", "context"), _SYSTEM),
    ),
    Form(
        "prompt_completion",
        "chat",
        (("prompt",), ("completion", "response")),
        (_SYSTEM, _TOOLS),
    ),
    Form("text", "text", (("text",),)),
)
TEMPLATE = Form("template", "text", ())
KNOWN = sorted({name for form in FORMS for names in (*form.needs, *form.may_have) for name in names})
SHAPES = (
    "`messages`; `prompt,completion`; `instruction,input,output`; `conversations`; "
    "`prompt,chosen,rejected`; or `text`"
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller says of the columns: `columns` gives ours for theirs, `template` makes a text of several."""

    columns: Mapping[str, str] = field(default_factory=dict)
    template: str | None = None
    system: str | None = None


@dataclass(frozen=True, slots=True)
class Understood:
    """The form of a table: the column of each part, and the columns that nothing is taken from."""

    form: Form
    columns: Mapping[str, str]
    ignored: Sequence[str]


class WrongColumns(ValueError):
    """`columns` or `template` cannot be read."""


def read_columns(said: str) -> dict[str, str]:
    """`question:prompt,answer:completion`, or a JSON object of it, as ours for theirs. Raises `WrongColumns`."""
    example = "Write columns=question:prompt,answer:completion"
    if said.lstrip().startswith("{"):
        try:
            pairs = json.loads(said)
        except ValueError as error:
            raise WrongColumns(f"It is no JSON ({error}). {example}.") from None
    else:
        parts = [part.rpartition(":") for part in said.split(",") if part.strip()]
        pairs = {theirs.strip(): ours.strip() for theirs, _, ours in parts}
    for theirs, ours in pairs.items():
        if not theirs or not isinstance(ours, str):
            raise WrongColumns(f"{example}: a column of the file, a colon, and what it is.")
        if ours not in (*KNOWN, FOLD):
            raise WrongColumns(
                f"{theirs[:40]!r} cannot be {ours[:40]!r}. A column can be: {', '.join(KNOWN)}, {FOLD}."
            )
    if len(set(pairs.values())) < len(pairs):
        raise WrongColumns("Two columns are to be the same.")
    return dict(pairs)


def fields_of(template: str) -> list[str]:
    """The columns that a template names. Raises `WrongColumns`."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise WrongColumns(f"{error}. Double a brace that is one: {{{{ and }}}}.") from None
    names = [name for _, name, _, _ in parts if name is not None]
    if any(spec or conversion for _, name, spec, conversion in parts if name is not None):
        raise WrongColumns("Only {column} is known, without a format behind it.")
    if not all(names) or not names:
        raise WrongColumns("It names no column: write {question}, a column's name in braces.")
    return names


def understand(names: Sequence[str], wish: Wish, kind: Kind | None = None) -> Understood:
    """The form of a table with these columns; of several the first, or the first of the kind that is wanted.

    Raises `DatasetError`.
    """
    ours = _renamed(names, wish.columns)
    if wish.template is not None:
        return _templated(names, ours, wish.template)
    said = set(wish.columns.values()) - {FOLD}
    fitting = [
        found for form in FORMS if (found := _fitted(form, ours, names)) and said <= {*found.columns}
    ]
    wanted = [found for found in fitting if found.form.kind == kind]
    if fitting:
        return (wanted or fitting)[0]
    raise DatasetError("header", _no_form(names, wish))


def _renamed(names: Sequence[str], columns: Mapping[str, str]) -> dict[str, str]:
    """The column of each of our names, as the caller says, else of the same name."""
    theirs = {name_key(name): name for name in names}
    for name in columns:
        if name_key(name) not in theirs:
            raise DatasetError(
                "header", f"`columns` names {name[:40]!r}, which the file does not have: {_shown(names)}."
            )
    said = {ours: theirs[name_key(name)] for name, ours in columns.items()}
    plain = {key: name for key, name in theirs.items() if name not in said.values()}
    return plain | said


def _fitted(form: Form, ours: Mapping[str, str], names: Sequence[str]) -> Understood | None:
    """The form with its columns, each under the first of its names that there is."""
    columns: dict[str, str] = {}
    for needed, choices in [*((True, one) for one in form.needs), *((False, one) for one in form.may_have)]:
        found = next((name for name in choices if name in ours), None)
        if found is not None:
            columns[found] = ours[found]
        elif needed:
            return None
    return _with_fold(form, columns, ours, names)


def _with_fold(
    form: Form, columns: dict[str, str], ours: Mapping[str, str], names: Sequence[str]
) -> Understood:
    if FOLD in ours:
        columns[FOLD] = ours[FOLD]
    ignored = [name for name in names if name and name not in columns.values()]
    return Understood(form, columns, ignored)


def _templated(names: Sequence[str], ours: Mapping[str, str], template: str) -> Understood:
    columns = {}
    for name in fields_of(template):
        if name_key(name) not in ours:
            raise DatasetError(
                "header", f"`template` names {name[:40]!r}, which the file does not have: {_shown(names)}."
            )
        columns[name] = ours[name_key(name)]
    return _with_fold(TEMPLATE, columns, ours, names)


def _shown(names: Sequence[str]) -> str:
    return ", ".join(repr(name[:40]) for name in names[:10]) or "nothing that can be read"


def _no_form(names: Sequence[str], wish: Wish) -> str:
    said = f"The columns are {_shown(names)}"
    if wish.columns:
        said += f", of which `columns` makes {', '.join(wish.columns.values())}"
    text = f"{said}: none of the known forms. Expected: {SHAPES}."
    plain = [name for name in names if name]
    if len(plain) == 2 and not wish.columns:
        text += f" If they are a question and its answer: columns={plain[0][:40]}:prompt,{plain[1][:40]}:completion."
    return text + " A `template` makes texts of any columns."
