"""What a trained model and its files are compared along: answers that it was to learn, with what stood before them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from finetune.data.rows import Row
from finetune.training.supervision import Supervision

MOST = 32
MOST_TOKENS = 2048
MOST_ASKED = 512
LONGEST = 1024


@dataclass(frozen=True, slots=True)
class Passage:
    """Tokens, and the places (from 1 on) of those that are asked about."""

    tokens: list[int]
    places: list[int]
    named: str = "a sample"

    @property
    def asked(self) -> list[int]:
        """The tokens that are asked about."""
        return [self.tokens[place] for place in self.places]


def answer(prompt: list[int], reply: list[int], named: str = "a sample") -> Passage:
    """What was said to a prompt."""
    tokens = [*prompt, *reply]
    return Passage(tokens, list(range(len(prompt), len(tokens))), named)


def passages_of(supervision: Supervision, row: Row) -> Passage | None:
    """What is learned of a row, of a preference the wanted answer; None when there is nothing of it."""
    example = supervision.of(row)[0]
    tokens = example.ids[:LONGEST]
    places = [place for place in range(1, len(tokens)) if example.learned[place]]
    if not places:
        return None
    return Passage(tokens[: places[-1] + 1], places, f"row {row.number}")


def choose(supervision: Supervision, rows: Iterable[Row]) -> list[Passage]:
    """Passages of the first rows, so many that a large model reads them in minutes."""
    chosen: list[Passage] = []
    tokens = asked = 0
    for row in rows:
        passage = passages_of(supervision, row)
        if passage is None:
            continue
        tokens += len(passage.tokens)
        asked += len(passage.places)
        if chosen and (tokens > MOST_TOKENS or asked > MOST_ASKED):
            break
        chosen.append(passage)
        if len(chosen) == MOST:
            break
    return chosen


def spread(passages: Sequence[Passage], count: int) -> list[tuple[int, int]]:
    """At most so many places, evenly over all answers: each the number of a passage and of a token asked about."""
    places = [(n, k) for n, passage in enumerate(passages) for k in range(len(passage.places))]
    if len(places) <= count:
        return places
    return [places[n * len(places) // count] for n in range(count)]
