"""What the linter found, as it stands in `dataset/lint.json` and in answers. The api imports it."""

from typing import Any

from pydantic import BaseModel, Field

from finetune.data.rows import Fold
from finetune.lint.codes import Severity

NAMED_ROWS = 20


class Finding(BaseModel):
    """One code in one part of the data."""

    code: str = Field(description="Stable; docs/what-the-linter-says.md has each.")
    severity: Severity = Field(description="An error refuses the data, a warning does not.")
    fold: Fold = Field(description="Where: rows to train on, to evaluate by, or to test with.")
    count: int = Field(description="In how many rows.")
    rows: list[int] = Field(description="The first of them, by their number in the file.")
    detail: str = Field(description="What is wrong, in words.")
    remedy: str = Field(description="What to do.")

    def event(self) -> dict[str, Any]:
        """The fields of a job's warning."""
        named = ", ".join(map(str, self.rows))
        more = f" and {self.count - len(self.rows)} more" if self.count > len(self.rows) else ""
        detail = f"{self.detail} {self.remedy} Rows: {named}{more}."
        return {"kind": self.code, "rows": self.rows, "count": self.count, "detail": detail}


class Figures(BaseModel):
    """What the rows amount to."""

    rows: dict[Fold, int] = Field({}, description="Rows of each part.")
    rows_read_as_tokens: int = Field(0, description="Rows that were also looked at as tokens.")
    sequences: int = Field(0, description="What a training would go through in one epoch.")
    tokens: int = Field(0, description="Tokens of the training rows, each cut at max_length.")
    supervised_tokens: int = Field(0, description="Those of them that are learned.")
    longest: int = Field(0, description="Tokens of the longest row, before cutting.")


class Piece(BaseModel):
    """Tokens in succession that are all learned, or all only read."""

    text: str
    learned: bool


class Sample(BaseModel):
    """A row as the model reads it."""

    row: int
    tokens: int
    pieces: list[Piece]


class Report(BaseModel):
    """`lint.json`."""

    findings: list[Finding]
    figures: Figures
    samples: list[Sample] = Field(description="The first rows, as the model reads them.")
    read_by: str | None = Field(
        None, description="The base whose tokenizer read the rows; without one, texts alone were."
    )
    not_read: str | None = Field(None, description="Why no tokenizer read them.")

    @property
    def errors(self) -> list[Finding]:
        """What refuses the data."""
        return [finding for finding in self.findings if finding.severity == "error"]

    @property
    def warnings(self) -> list[Finding]:
        """What does not."""
        return [finding for finding in self.findings if finding.severity == "warning"]
