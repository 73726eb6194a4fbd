"""What clients attach to things of theirs, and get back as it was."""

from typing import Annotated

from pydantic import Field

Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(max_length=16),
]
"""OpenAI's bounds."""
