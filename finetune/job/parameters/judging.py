"""How a tuned model is held against its base."""

from typing import Literal

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from finetune.judging.metrics import NotAPattern, require_pattern


class Judging(BaseModel):
    """What is asked of both, how it is scored, and what follows from it."""

    metric: Literal["exact", "contains", "f1", "json", "regex"] | None = Field(
        None,
        description="How answers are scored, and by which the verdict falls; empty: it falls by the loss, and exact "
        "answers are counted.",
    )
    metric_pattern: str | None = Field(
        None,
        max_length=1000,
        validate_default=True,
        description="For `metric=regex`: what it finds in an answer must be what it finds in the right one.",
    )
    require_improvement: bool = Field(
        False, description="Publish only what is shown to be better than its base."
    )
    compare_rows: int = Field(
        100, ge=0, le=2000, description="Most held-out rows that both answer; 0: no comparison."
    )
    compare_tokens: int = Field(
        256, ge=1, le=8192, description="Most tokens of an answer that is compared."
    )

    @field_validator("compare_rows")
    @classmethod
    def suffice(cls, rows: int, info: ValidationInfo) -> int:
        """Rows to compare, where an improvement is required."""
        if rows == 0 and info.data.get("require_improvement"):
            raise ValueError("require_improvement needs rows to compare: raise compare_rows.")
        return rows

    @field_validator("metric_pattern")
    @classmethod
    def fits(cls, pattern: str | None, info: ValidationInfo) -> str | None:
        """A pattern that can be read, exactly where the metric needs one."""
        if "metric" in info.data:
            try:
                require_pattern(info.data["metric"], pattern)
            except NotAPattern as error:
                raise ValueError(str(error)) from error
        return pattern
