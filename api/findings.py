"""What a doctor says."""

from typing import NamedTuple


class Finding(NamedTuple):
    """What is off, and whether it was put right."""

    text: str
    repaired: bool
