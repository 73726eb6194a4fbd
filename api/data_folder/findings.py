"""What is found when database, indexes, files and folders are held against each other."""

from typing import NamedTuple


class Finding(NamedTuple):
    """What `doctor` or a start found off, and whether it was put right."""

    text: str
    repaired: bool


class Examined(NamedTuple):
    """What `doctor` found off, and what it says of the rest."""

    findings: list[Finding]
    notes: list[str]
