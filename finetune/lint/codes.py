"""Everything the linter can say: a code, how bad it is, what is wrong and what to do.

docs/what-the-linter-says.md is about them. Codes are stable: programs may act on them.
"""

from dataclasses import dataclass, replace
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Code:
    """What can be found. A warning is an error when it holds for the share `error_from` of the rows."""

    name: str
    severity: Severity
    detail: str
    remedy: str
    error_from: float | None = None
    needs_tokens: bool = False
    """Found only with the base's tokenizer."""


TEMPLATE_REFUSES = Code(
    "template_refuses",
    "error",
    "The chat template of the base refuses the conversation.",
    "Give the turns in the order that the template wants, or another chat template.",
    needs_tokens=True,
)
NO_SUPERVISED_TOKEN = Code(
    "no_supervised_token",
    "error",
    "Not one token of the row is learned: the template writes nothing of what the assistant says.",
    "Give the assistant something to say that the template writes, or remove the row.",
    needs_tokens=True,
)
NOTHING_TO_LEARN = Code(
    "nothing_to_learn",
    "warning",
    "The prompt alone fills max_length tokens: the row is left out.",
    "Raise max_length, or shorten the prompt.",
    error_from=1.0,
    needs_tokens=True,
)
CUT = Code(
    "cut",
    "warning",
    "Longer than max_length tokens: the end of the answer, with the token that ends it, is not learned.",
    "Raise max_length, or shorten the rows.",
    error_from=0.5,
    needs_tokens=True,
)
END_UNSUPERVISED = Code(
    "end_unsupervised",
    "warning",
    "The answer is learned without a token that ends it: the model does not learn to stop.",
    "Use a chat template that writes the end token after an answer, inside what the assistant says.",
    error_from=0.5,
    needs_tokens=True,
)
EMPTY_TURN = Code(
    "empty_turn",
    "error",
    "A turn says nothing and calls no tool.",
    "Remove the turn or the row, or look up why its text is missing.",
)
ROLE_ORDER = Code(
    "role_order",
    "warning",
    "Turns are not in an order that a conversation has.",
    "Put the turns of one speaker into one, begin with the user, and answer a tool call by a tool turn.",
)
TRAILING = Code(
    "trailing",
    "warning",
    "Turns after the last assistant turn are not learned.",
    "Add the answer, or remove these turns.",
)
DUPLICATE = Code(
    "duplicate",
    "warning",
    "The row is there already: it counts as often as it stands there.",
    "Remove repeated rows, unless they are to weigh more.",
)
OVERLAP = Code(
    "overlap",
    "warning",
    "The row is trained on too: what is measured on it flatters.",
    "Take these rows out of training, or out of what is measured on.",
)
OVERLAP_OF_ALL_TESTS = replace(OVERLAP, error_from=1.0)
"""The same of test rows: what the result is proved by must not be memory alone."""
TEMPLATE_WITHOUT_EFFECT = Code(
    "template_without_effect",
    "error",
    "Another row, with other words, becomes the very same tokens: the model cannot tell them apart.",
    "Use a chat template that writes every turn, or a base that has tokens for these characters.",
    needs_tokens=True,
)
SYSTEM_DROPPED = Code(
    "system_dropped",
    "warning",
    "The chat template writes nothing of the system turn: it is neither read nor learned.",
    "Put the instructions into the first user turn, or use a chat template with a system turn.",
    needs_tokens=True,
)
SPECIAL_IN_TEXT = Code(
    "special_in_text",
    "warning",
    "The text holds marks of the chat template, which are read as such.",
    "Remove them: the template writes them around every turn.",
    needs_tokens=True,
)
SPECIAL_SPLIT = Code(
    "special_split",
    "warning",
    "A mark of some chat template is no token of this base: it is read as ordinary characters.",
    "Remove marks from the text, and use a chat template whose marks the base has.",
    needs_tokens=True,
)
UNSUPPORTED_CHARACTERS = Code(
    "unsupported_characters",
    "warning",
    "The base has hardly a token for what is written: most of it is unknown or read byte by byte.",
    "Take a base that was trained on this script.",
    error_from=0.5,
    needs_tokens=True,
)
BROKEN_CHARACTERS = Code(
    "broken_characters",
    "warning",
    "Characters were broken by a wrong encoding.",
    "Save the source again as UTF-8.",
)
OTHER_LANGUAGE = Code(
    "other_language",
    "warning",
    "The answer is in another language than nearly all others, and the question is not.",
    "Look at these rows: were they mixed in by mistake?",
)
OTHER_FORMAT = Code(
    "other_format",
    "warning",
    "Nearly all answers are JSON, this one is not.",
    "Look at these rows: an answer that breaks the form teaches to break it.",
)
SECRET = Code(
    "secret",
    "error",
    "The text holds a key that opens something. A model that learned it tells it to anyone who asks.",
    "Remove it from the data, and replace the key.",
)
CARD_NUMBER = Code(
    "card_number",
    "warning",
    "The text holds what looks like the number of a payment card.",
    "Replace it by an invented one, such as 4111 1111 1111 1111.",
)
NO_PREFERENCE = Code(
    "no_preference",
    "error",
    "The chosen and the rejected answer are the same.",
    "Give two different answers, or remove the row.",
)

CODES = (
    TEMPLATE_REFUSES,
    NO_SUPERVISED_TOKEN,
    NOTHING_TO_LEARN,
    CUT,
    END_UNSUPERVISED,
    EMPTY_TURN,
    ROLE_ORDER,
    TRAILING,
    DUPLICATE,
    OVERLAP,
    TEMPLATE_WITHOUT_EFFECT,
    SYSTEM_DROPPED,
    SPECIAL_IN_TEXT,
    SPECIAL_SPLIT,
    UNSUPPORTED_CHARACTERS,
    BROKEN_CHARACTERS,
    OTHER_LANGUAGE,
    OTHER_FORMAT,
    SECRET,
    CARD_NUMBER,
    NO_PREFERENCE,
)
