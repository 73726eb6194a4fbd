"""ZIP files that strangers pack: how their parts may be packed."""

from collections.abc import Iterable
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipInfo

PACKINGS = frozenset({ZIP_STORED, ZIP_DEFLATED})
"""Of all else `zipfile` unfolds whole blocks at once, however little is asked for."""


def oddly_packed(entries: Iterable[ZipInfo]) -> ZipInfo | None:
    """The first of these that must not be opened."""
    return next((one for one in entries if one.compress_type not in PACKINGS), None)
