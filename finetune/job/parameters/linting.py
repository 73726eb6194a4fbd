"""What of the linter's errors is taken on."""

from pydantic import BaseModel, Field, field_validator

from finetune.lint.codes import CODES


class Linting(BaseModel):
    """Which findings do not refuse the data."""

    accept: str = Field(
        "",
        description="Codes of the linter whose errors are to be warnings, with commas between.",
        examples=["secret,cut"],
    )

    @field_validator("accept")
    @classmethod
    def are_known(cls, accept: str) -> str:
        """Codes that there are."""
        names = {code.name for code in CODES}
        unknown = [name for name in codes_in(accept) if name not in names]
        if unknown:
            raise ValueError(f"the linter has no code {unknown[0][:40]!r}")
        return accept

    @property
    def accepted(self) -> list[str]:
        """The codes, one by one."""
        return codes_in(self.accept)


def codes_in(text: str) -> list[str]:
    """The names between commas."""
    return [name for part in text.split(",") if (name := part.strip())]
