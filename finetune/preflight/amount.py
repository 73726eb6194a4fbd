"""How much there is to learn, guessed from the text before anything is tokenized: the train stage counts it later."""

import math
from collections.abc import Iterable
from dataclasses import asdict
from itertools import islice

from finetune.data.rows import Preference, Row, Text
from finetune.preflight.base import Base
from finetune.preflight.formula import Amount

LOOKED_AT = 2000
"""So many rows stand for all."""
TURN_TOKENS = 6
"""What a chat template puts around a turn."""
PER_LOGARITHM = 0.385
"""Characters a token has for each e-fold of the vocabulary: 2.8 of 1,500 tokens, 4.0 of 32,000, 4.6 of 150,000."""


def guess(
    rows: Iterable[Row], base: Base, *, learned: int, judged: int, longest_allowed: int
) -> Amount:
    """From the first rows."""
    characters = PER_LOGARITHM * math.log(max(base.vocabulary, 16))
    lengths = [_tokens(row, characters) for row in islice(rows, LOOKED_AT)] or [longest_allowed]
    learnable = [min(length, longest_allowed) for length in lengths]
    average = sum(learnable) / len(learnable)
    return Amount(
        rows=learned,
        eval_rows=judged,
        tokens=max(1, round(average * learned)),
        longest=max(learnable),
    )


def _tokens(row: Row, characters_a_token: float) -> int:
    if isinstance(row, Text):
        return round(len(row.text) / characters_a_token) + 1
    if isinstance(row, Preference):
        turns = [*row.prompt, *max(row.chosen, row.rejected, key=lambda one: len(str(one)))]
    else:
        turns = row.messages
    text = sum(len(str(value)) for turn in turns for value in turn.values())
    tools = len(str(asdict(row).get("tools") or ""))
    return round((text + tools) / characters_a_token) + TURN_TOKENS * len(turns)
