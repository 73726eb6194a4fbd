"""Parts of a list of texts, each embedded in seconds."""

from collections.abc import Iterator, Sequence

MAX_TEXTS = 8
CHARACTERS_A_TEXT = 1000


def batches(
    texts: Sequence[str], most_texts: int = MAX_TEXTS
) -> Iterator[tuple[int, Sequence[str]]]:
    """The parts with their place in the list, larger for a fast engine, and of so many characters a text; one that is
    too large for a part stands alone.
    """
    most_characters = most_texts * CHARACTERS_A_TEXT
    start = size = 0
    for n, text in enumerate(texts):
        if n > start and (n - start == most_texts or size + len(text) > most_characters):
            yield start, texts[start:n]
            start, size = n, 0
        size += len(text)
    if start < len(texts):
        yield start, texts[start:]
