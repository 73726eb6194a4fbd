"""What fits into the context: passages in their order, then earlier turns, the newest first."""

from collections.abc import Sequence
from dataclasses import dataclass

from api.errors import PromptTooLong
from api.rag.prompts import Passage, answer_prompt
from api.rag.retrieve import Hit
from api.runtime import Message, ModelRuntime


@dataclass(frozen=True, slots=True)
class Fitted:
    """The conversation to send, the passages in it with their cost, and what found no room."""

    messages: tuple[Message, ...]
    used: tuple[tuple[Hit, int], ...]
    no_room: tuple[Hit, ...]
    turns_left_out: int
    exact: bool


async def fit(
    runtime: ModelRuntime,
    model: str,
    messages: Sequence[Message],
    passages: Sequence[Hit],
    room: int,
) -> Fitted:
    """Put the passages and as much of the conversation as fits into `room` tokens.

    The last message asks; system messages stay. Raises `errors.PromptTooLong` when not even the question
    with one passage fits.
    """
    system = [message for message in messages if message.role == "system"]
    *earlier, last = [message for message in messages if message.role != "system"]
    used: list[tuple[Hit, int]] = []
    no_room: list[Hit] = []
    count = await runtime.count_tokens(model, [*system, _asking(last, [])])
    too_long: list[int] = []
    for hit in passages:
        asking = _asking(last, [*(used_hit for used_hit, _ in used), hit])
        wider = await runtime.count_tokens(model, [*system, asking])
        if wider.number > room:
            no_room.append(hit)
            too_long.append(wider.number)
            continue
        used.append((hit, wider.number - count.number))
        count = wider
    if not used:
        raise PromptTooLong(min(too_long, default=count.number), max(room, 0))
    asking = _asking(last, [hit for hit, _ in used])
    kept: list[Message] = []
    while len(kept) < len(earlier):
        more = earlier[-len(kept) - 2 :]  # a question and its answer
        wider = await runtime.count_tokens(model, [*system, *more, asking])
        if wider.number > room:
            break
        kept, count = list(more), wider
    return Fitted(
        messages=(*system, *kept, asking),
        used=tuple(used),
        no_room=tuple(no_room),
        turns_left_out=len(earlier) - len(kept),
        exact=count.exact,
    )


def numbered(hits: Sequence[Hit]) -> list[Passage]:
    """The passages as the model sees them."""
    return [
        Passage(n, hit.shown_text, hit.document, hit.page) for n, hit in enumerate(hits, start=1)
    ]


def _asking(last: Message, hits: Sequence[Hit]) -> Message:
    return Message("user", answer_prompt(last.content, numbered(hits)), last.images)
