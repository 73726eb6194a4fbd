"""What an answer is made of, in the order it is told: what was retrieved, tokens, citations, the receipt, the end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from api.rag.fuse import Found
from api.rag.queries import Dropped
from api.rag.rectangles import Place
from api.rag.retrieve import Hit
from api.rag.room import Asked
from api.runtime import CallPiece, FinishReason, TokenLogprob, ToolCall, Usage

Reason = Literal["rank", "no room", "duplicate", "not relevant"]
Refused = Literal["nothing found", "not relevant", "by the model"]


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What was searched, and the best passages that it found; told before the first piece of an answer."""

    queries: tuple[str, ...]
    hits: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the answer's text, with the probabilities of its tokens where they were asked for."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Unanswered(Token):
    """What is said, whole, where no model is asked, for the documents do not hold the answer."""


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A piece of what the model thinks before it answers."""

    text: str


@dataclass(frozen=True, slots=True)
class Citation:
    """What marker [n] of the answer stands for. The quote is verbatim on that page, `label` is what its owner calls the
    page where that is no number, and `place` where the quote stands on it. `supported`: the passage says what the
    sentence before the marker says, as far as that can be told by words, numbers, names and denials.
    """

    n: int
    document: str
    document_id: str
    page: int
    label: str
    quote: str
    place: Place
    supported: bool


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A sentence of the answer that no cited passage supports, and what is lacking."""

    sentence: str
    lacking: str


@dataclass(frozen=True, slots=True)
class UsedPassage:
    """A passage that was put into the prompt, and its share of the prompt's tokens, by its length."""

    n: int
    document: str
    document_id: str
    page: int
    score: float
    tokens: int
    found_by: tuple[Found, ...]
    label: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A passage that was found and not used: it ranked too low, found no room, says the same, or nothing that was found
    has to do with the question.
    """

    document: str
    document_id: str
    page: int
    score: float
    reason: Reason


@dataclass(frozen=True, slots=True)
class Tokens:
    """Where the context went: `prompt` and `reserved_for_answer` fit into `context`, and `completion` into what was
    reserved. `exact` is false where the runtime can only estimate before it answers, or its
    back end told no count.
    """

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
    related_words: str
    """Searched beside the queries and counting less: the lines that a measure in them is computed from."""
    dropped_queries: tuple[Dropped, ...]
    passages: tuple[UsedPassage, ...]
    left_out: tuple[LeftOut, ...]
    turns_left_out: int
    tokens: Tokens
    unknown_markers: tuple[int, ...]
    """Numbers the answer cites though no such passage was given."""
    unverified_markers: tuple[int, ...]
    """Numbers whose passage was not found again on its page; never shown as citations."""
    unsupported: tuple[Unsupported, ...]
    """Sentences of the answer that no cited passage supports."""
    refused: bool
    """The answer is that the documents do not hold one."""
    refused_because: Refused | None
    """Without asking the model: nothing was found, or nothing relevant enough. Else the model said so itself."""
    relevance: float | None
    """How likely the documents hold an answer (0..1, the same for every search); None where the embedding model was
    not measured.
    """
    reranked_by: str | None
    """The reranker that ordered the best passages; None where none is set, or it failed."""


@dataclass(frozen=True, slots=True)
class Done:
    """The end of an answer."""

    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int


AnswerEvent = Retrieved | Token | Reasoning | CallPiece | Citation | Receipt | Done


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: the same as its events, joined."""

    message: str
    citations: tuple[Citation, ...]
    receipt: Receipt
    done: Done
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()


def plain_receipt(asked: Asked, usage: Usage) -> Receipt:
    """The receipt of plain chat; one over documents adds to it."""
    tokens = Tokens(
        prompt=usage.prompt_tokens,
        context=asked.context,
        reserved_for_answer=min(asked.answer, asked.context - usage.prompt_tokens),
        completion=usage.completion_tokens,
        exact=usage.exact,
    )
    return Receipt(
        model=asked.model.name,
        queries=(),
        related_words="",
        dropped_queries=(),
        passages=(),
        left_out=(),
        turns_left_out=0,
        tokens=tokens,
        unknown_markers=(),
        unverified_markers=(),
        unsupported=(),
        refused=False,
        refused_because=None,
        relevance=None,
        reranked_by=None,
    )


def done(usage: Usage) -> Done:
    """The last event."""
    return Done(usage.finish_reason, usage.prompt_tokens, usage.completion_tokens)


def left_out(
    found: Sequence[Hit],
    used: Sequence[Hit] = (),
    no_room: Sequence[Hit] = (),
    otherwise: Reason = "rank",
) -> tuple[LeftOut, ...]:
    """What was found and not used, with the reason."""
    used_ids = {hit.chunk_id for hit in used}
    no_room_ids = {hit.chunk_id for hit in no_room}

    def reason(hit: Hit) -> Reason:
        if hit.is_duplicate:
            return "duplicate"
        return "no room" if hit.chunk_id in no_room_ids else otherwise

    return tuple(
        LeftOut(hit.document, hit.document_id, hit.page, hit.score, reason(hit))
        for hit in found
        if hit.chunk_id not in used_ids
    )
