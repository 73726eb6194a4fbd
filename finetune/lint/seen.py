"""A table of 64-bit hashes in 16 bytes an entry: a million rows are remembered in some 32 MB, and no text is."""

import hashlib
from array import array

LEAST_SLOTS = 1024


def hash_of(content: bytes) -> int:
    """A 64-bit hash that is never 0."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest()) | 1


class Seen:
    """A number for each hash, by open addressing."""

    def __init__(self) -> None:
        self._slots = LEAST_SLOTS
        self._hashes = array("Q", bytes(8 * self._slots))
        self._numbers = array("Q", bytes(8 * self._slots))
        self._count = 0

    def get(self, hash_: int) -> int | None:
        """The number that came with it first, or None."""
        place = self._place(hash_)
        return self._numbers[place] if self._hashes[place] else None

    def first(self, hash_: int, number: int) -> int:
        """The number that came with this hash first: remembers this one when there was none."""
        place = self._place(hash_)
        if self._hashes[place]:
            return self._numbers[place]
        self._hashes[place] = hash_
        self._numbers[place] = number
        self._count += 1
        if self._count * 3 > self._slots * 2:
            self._grow()
        return number

    def _place(self, hash_: int) -> int:
        hashes, mask = self._hashes, self._slots - 1
        place = (hash_ >> 1) & mask
        while (found := hashes[place]) and found != hash_:
            place = (place + 1) & mask
        return place

    def _grow(self) -> None:
        old = zip(self._hashes, self._numbers, strict=True)
        self._slots *= 2
        self._hashes = array("Q", bytes(8 * self._slots))
        self._numbers = array("Q", bytes(8 * self._slots))
        for hash_, number in old:
            if hash_:
                place = self._place(hash_)
                self._hashes[place] = hash_
                self._numbers[place] = number
