"""What an answer is made of, in the order it is told: tokens, citations, the receipt, the end."""

from dataclasses import dataclass
from typing import Literal

from api.rag.retrieve import Found
from api.runtime import FinishReason


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the answer's text."""

    text: str


@dataclass(frozen=True, slots=True)
class Citation:
    """What marker [n] of the answer stands for; the quote is verbatim on that page."""

    n: int
    document: str
    page: int
    quote: str


@dataclass(frozen=True, slots=True)
class UsedPassage:
    """A passage that was put into the prompt, and what it cost."""

    n: int
    document: str
    page: int
    score: float
    tokens: int
    found_by: tuple[Found, ...]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A passage that was found and not used: it ranked too low, found no room, or says the same."""

    document: str
    page: int
    score: float
    reason: Literal["rank", "no room", "duplicate"]


@dataclass(frozen=True, slots=True)
class Tokens:
    """Where the context went. `exact` is false where the runtime can only estimate before it answers."""

    prompt: int
    context: int
    reserved_for_answer: int
    completion: int
    exact: bool


@dataclass(frozen=True, slots=True)
class Receipt:
    """How an answer came about."""

    model: str
    queries: tuple[str, ...]
    passages: tuple[UsedPassage, ...]
    left_out: tuple[LeftOut, ...]
    turns_left_out: int
    tokens: Tokens
    unknown_markers: tuple[int, ...]
    """Numbers the answer cites though no such passage was given."""
    unverified_markers: tuple[int, ...]
    """Numbers whose passage was not found again on its page; never shown as citations."""
    refused: bool


@dataclass(frozen=True, slots=True)
class Done:
    """The end of an answer."""

    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int


AnswerEvent = Token | Citation | Receipt | Done


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: the same as its events, joined."""

    message: str
    citations: tuple[Citation, ...]
    receipt: Receipt
    done: Done
