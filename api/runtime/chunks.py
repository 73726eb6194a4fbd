"""A chunk of a streamed answer, whatever wire it came over."""

from dataclasses import dataclass

from api.runtime import FinishReason, Piece

SILENCE = Piece("")
"""What a chunk says that says nothing."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """What a chunk says, how the answer ended, and the tokens of prompt and answer, where it tells."""

    said: Piece = SILENCE
    finish_reason: FinishReason | None = None
    counts: tuple[int, int] | None = None
