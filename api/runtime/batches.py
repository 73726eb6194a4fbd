"""Parts of a list of texts, each embedded in seconds."""

from collections.abc import Iterator, Sequence

MAX_TEXTS = 8
MAX_CHARACTERS = 8000


def batches(texts: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    """The parts with their place in the list; a text that is too large for one stands alone."""
    start = size = 0
    for n, text in enumerate(texts):
        if n > start and (n - start == MAX_TEXTS or size + len(text) > MAX_CHARACTERS):
            yield start, texts[start:n]
            start, size = n, 0
        size += len(text)
    if start < len(texts):
        yield start, texts[start:]
