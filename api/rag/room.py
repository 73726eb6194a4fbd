"""The one place that decides how long prompt and answer may be, and what of a conversation finds room.

A request is settled once: the model as it was found, the context, the longest answer. Tokens are counted once with
everything, and again, by halves, only when that does not fit.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from api.errors import PromptTooLong
from api.rag.prompts import PLAIN, Passage, Wording, passage_block, worded
from api.rag.retrieve import Hit
from api.runtime import Message, ModelInfo, ModelRuntime, Options, TokenCount
from api.runtime.options import check_options, check_taken

Step = tuple[Sequence[Hit], int]
"""Passages, and how many of the newest turns."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is searched, used and answered where a request does not say."""

    expansions: int
    passages: int
    dense_weight: float
    max_answer_tokens: int
    context_length: int
    max_answers: int
    min_relevance: float | None
    """None: what suits the embedding model."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request means, settled once. Of `context` tokens the answer has at most `answer`, and must have room for
    `least`; `options` say so to the runtime, with the persona's in the place of what the request leaves out. `wording`
    is what stands around the question.
    """

    model: ModelInfo
    options: Options
    context: int
    answer: int
    least: int
    wording: Wording = PLAIN


@dataclass(frozen=True, slots=True)
class Fitted:
    """The conversation to send with its tokens, the passages in it, and what found no room."""

    messages: tuple[Message, ...]
    tokens: TokenCount
    used: tuple[Hit, ...]
    no_room: tuple[Hit, ...]
    turns_left_out: int


def settled(
    model: ModelInfo,
    options: Options,
    limits: Limits,
    *,
    over_documents: bool = False,
    may_end_early: bool = False,
) -> Asked:
    """The context and the longest answer of a request; `errors.InvalidOption` for what is out of range.

    An answer that the request gives a length to must have all of it, unless it `may_end_early`. Else plain chat answers
    in what the prompt leaves; over documents, which fill what they get, a quarter of the context is kept (for a
    persona's own length up to half).
    """
    persona = model.persona.parameters
    trained = model.context_length or limits.context_length  # of a damaged model nothing is known
    if may_end_early and options.max_tokens:
        persona = replace(persona, max_tokens=min(options.max_tokens, trained))
        options = replace(options, max_tokens=None)
    chosen = options.over(persona)
    check_options(chosen, trained)
    check_taken(chosen, model)
    context = chosen.num_ctx or min(limits.context_length, trained)
    answer = chosen.max_tokens or limits.max_answer_tokens
    if options.max_tokens is None:
        share = 1 if not over_documents else 2 if persona.max_tokens else 4
        answer = min(answer, context // share)
    least = options.max_tokens or 1
    return Asked(model, replace(chosen, num_ctx=context, max_tokens=answer), context, answer, least)


async def fit(
    runtime: ModelRuntime, asked: Asked, messages: Sequence[Message], passages: Sequence[Hit]
) -> Fitted:
    """Put as many of the passages as fit, best first, and then as much of the conversation, newest first.

    The last message asks; system messages stay. Raises `errors.PromptTooLong` when not even the question
    with one passage fits.
    """
    system = [message for message in messages if message.role == "system"]
    *earlier, last = [message for message in messages if message.role != "system"]
    room = asked.context - asked.answer
    too_long: list[int] = []

    async def tried(hits: Sequence[Hit], turns: int) -> Fitted | None:
        """The conversation with these passages and the newest turns, if it fits."""
        kept = earlier[max(0, len(earlier) - turns) :]
        sent = (*system, *kept, _asking(asked.wording, last, hits))
        tokens = await runtime.count_tokens(asked.model, sent, asked.context)
        if tokens.number > room:
            too_long.append(tokens.number)
            return None
        no_room = tuple(hit for hit in passages if hit not in hits)
        return Fitted(sent, tokens, tuple(hits), no_room, len(earlier) - len(kept))

    pairs = (len(earlier) + 1) // 2  # a question and its answer give way together
    for first in range(len(passages)):  # one that is too long by itself keeps no other out
        hits = passages[first:]
        steps = [(hits[:n], 0) for n in range(1, len(hits) + 1)]
        steps += [(hits, 2 * n) for n in range(1, pairs + 1)]
        if found := await _furthest(steps, tried):
            return found
        if first == 0 and not await tried([], 0):
            break
    raise PromptTooLong(
        min(too_long),
        max(room, 0),
        answer=asked.answer,
        context_can_grow=asked.context < asked.model.context_length,
    )


async def _furthest(
    steps: Sequence[Step], tried: Callable[[Sequence[Hit], int], Awaitable[Fitted | None]]
) -> Fitted | None:
    """What fits at the furthest step: the last one is tried first, then the way is halved."""
    best: Fitted | None = None
    fitting, too_far, step = 0, len(steps) + 1, len(steps)
    while fitting + 1 < too_far:
        if found := await tried(*steps[step - 1]):
            best, fitting = found, step
        else:
            too_far = step
        step = (fitting + too_far) // 2
    return best


def shares(fitted: Fitted, model: ModelInfo, prompt_tokens: int) -> list[int]:
    """What each passage takes of the prompt's tokens, by its length; never more in all than the prompt has."""
    said = sum(len(message.content) for message in fitted.messages)
    if all(message.role != "system" for message in fitted.messages):
        said += len(model.persona.system)
    blocks = [passage_block(passage) for passage in numbered(fitted.used)]
    return [prompt_tokens * len(block) // said for block in blocks]


def numbered(hits: Sequence[Hit]) -> list[Passage]:
    """The passages as the model sees them."""
    return [
        Passage(n, hit.shown_text, hit.document, hit.page, hit.label)
        for n, hit in enumerate(hits, start=1)
    ]


def _asking(wording: Wording, last: Message, hits: Sequence[Hit]) -> Message:
    return Message("user", worded(wording, last.content, numbered(hits)), last.images)
