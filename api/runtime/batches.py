"""Parts of a list of texts, each embedded in seconds."""

from collections.abc import Iterator, Sequence

MAX_TEXTS = 8
MAX_CHARACTERS = 8000


def batches(texts: Sequence[str], times: int = 1) -> Iterator[tuple[int, Sequence[str]]]:
    """The parts with their place in the list, so many times as large for a fast engine; a text that is too large for
    one stands alone.
    """
    most_texts, most_characters = times * MAX_TEXTS, times * MAX_CHARACTERS
    start = size = 0
    for n, text in enumerate(texts):
        if n > start and (n - start == most_texts or size + len(text) > most_characters):
            yield start, texts[start:n]
            start, size = n, 0
        size += len(text)
    if start < len(texts):
        yield start, texts[start:]
