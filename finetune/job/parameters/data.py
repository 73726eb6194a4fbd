"""How a run's files are to be read: what their columns are, where the names do not say it."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from finetune.data.mapping import Wish, WrongColumns, fields_of, read_columns

_ESCAPED = re.compile(r"\\[nt\\]")
_MEANT = {r"\n": "\n", r"\t": "\t", "\\\\": "\\"}
"""How a line break and a tab are written in a query or in a field of one line."""


def _readable_columns(said: str) -> str:
    try:
        read_columns(said)
    except WrongColumns as error:
        raise PydanticCustomError("columns", "{reason}", {"reason": str(error)}) from None
    return said


def _readable_template(template: str) -> str:
    try:
        fields_of(template)
    except WrongColumns as error:
        raise PydanticCustomError("template", "{reason}", {"reason": str(error)}) from None
    return template


class Data(BaseModel):
    """What the columns of a file are."""

    columns: Annotated[str, AfterValidator(_readable_columns)] | None = Field(
        None,
        max_length=10_000,
        description="What columns with other names are, such as `question:prompt,answer:completion`; empty: by their "
        "names.",
    )
    template: Annotated[str, AfterValidator(_readable_template)] | None = Field(
        None,
        max_length=100_000,
        description="Makes a text of columns, such as `{question}\\n{answer}`, to train on as texts.",
    )
    system: str | None = Field(
        None,
        max_length=100_000,
        description="System message of every conversation that has none of its own.",
    )

    def wish(self) -> Wish:
        """The same for who reads the files."""
        columns = read_columns(self.columns) if self.columns else {}
        template = _ESCAPED.sub(lambda found: _MEANT[found[0]], self.template or "") or None
        return Wish(columns, template, self.system)
