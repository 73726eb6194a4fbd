"""What clients attach to things of theirs, and get back as it was; the bounds are OpenAI's."""

from typing import Annotated

from pydantic import Field

MOST_PAIRS = 16

Key = Annotated[str, Field(max_length=64)]
Text = Annotated[str, Field(strict=True, max_length=512)]
Metadata = Annotated[dict[Key, Text], Field(max_length=MOST_PAIRS)]
