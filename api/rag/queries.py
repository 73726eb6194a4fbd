"""Multi-query: other ways to ask a question, written by the model that will answer it."""

import logging
import re
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from api.errors import ApiError, ModelNotFound
from api.rag.drift import drifted
from api.rag.prompts import expand_prompt
from api.runtime import Message, ModelRef, ModelRuntime, Options
from api.runtime.fair import SPENT

LOGGER = logging.getLogger("api.rag")
MAX_TOKENS = 200
MAX_LINE = 300
LAST_TURNS = 6
"""Messages of a conversation that are shown: three questions with their answers."""
MAX_TURN = 600
SPEAKERS = {"user": "User", "assistant": "Assistant"}

_LABEL = re.compile(r"^\s*(?:[-*\u2022]+|\(?\d{1,2}[.):]|[Qq](?:uestion)?\s*\d*:)\s*")
_QUOTES = "\"'`\u201c\u201d\u2018\u2019* "
_ECHO = re.compile(
    r"^(?:write|each must|question:|a conversation so far|user:|assistant:|here are|sure\b|certainly\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Dropped:
    """A rephrasing that is not searched, and why: it would lead away from the question."""

    query: str
    reason: str


@dataclass(frozen=True, slots=True)
class Queries:
    """What is searched, the first one matters most, and which rephrasings are not."""

    texts: tuple[str, ...]
    dropped: tuple[Dropped, ...] = ()


async def queries(
    runtime: ModelRuntime,
    model: ModelRef,
    question: str,
    turns: Sequence[Message],
    count: int,
    num_ctx: int | None = None,
) -> Queries:
    """The question, then up to `count` other ways to ask it; the first one matters most.

    In a conversation the ways are understood without it, and the question comes last. One chat call;
    when it fails or says nothing useful, the question stands alone, in a conversation also behind the
    one before it. Only an unknown model is an error.
    """
    turns = [turn for turn in turns if turn.role in SPEAKERS]
    alone = tuple(_distinct(question, _with_previous(question, turns)))
    if count == 0:
        return Queries(alone)
    prompt = expand_prompt(question, count, _written(turns))
    options = Options(temperature=0, max_tokens=MAX_TOKENS, seed=0, num_ctx=num_ctx, think=False)
    try:
        answer = await _answer(runtime, model, prompt, options)
    except ModelNotFound:
        raise
    except ApiError as error:
        LOGGER.warning("the question is searched as it is: %s", error.detail)
        return Queries(alone)
    said = _distinct(question, _lines(answer))[1 : count + 1]
    reasons = drifted(question, said, " ".join(_last(turns)))
    ways = [way for way in said if not reasons[way]]
    dropped = tuple(Dropped(way, reason) for way, reason in reasons.items() if reason)
    if turns and ways:
        return Queries((*ways, question), dropped)
    return Queries((question, *ways) if ways else alone, dropped)


async def _answer(runtime: ModelRuntime, model: ModelRef, prompt: str, options: Options) -> str:
    said: list[str] = []
    async with aclosing(runtime.chat(model, [Message("user", prompt)], options)) as pieces:
        async for piece in pieces:
            said.append(piece.text)
            if piece.usage and (spent := SPENT.get()):
                spent.add_beside(piece.usage)
    return "".join(said)


def _with_previous(question: str, turns: Sequence[Message]) -> list[str]:
    asked = [turn.content for turn in turns if turn.role == "user"]
    return [f"{asked[-1][-MAX_TURN:]} {question}"] if asked else []


def _written(turns: Sequence[Message]) -> str:
    said = zip(turns[-LAST_TURNS:], _last(turns), strict=True)
    return "\n".join(f"{SPEAKERS[turn.role]}: {text}" for turn, text in said)


def _last(turns: Sequence[Message]) -> list[str]:
    return [turn.content.strip()[:MAX_TURN] for turn in turns[-LAST_TURNS:]]


def unlabelled(line: str) -> str:
    """A line of a model's list, without its mark, its number or quotes around it."""
    return _LABEL.sub("", line).strip(_QUOTES)


def _lines(answer: str) -> list[str]:
    lines = map(unlabelled, answer.splitlines())
    return [line for line in lines if 3 < len(line) <= MAX_LINE and not _ECHO.match(line)]


def _distinct(question: str, lines: Sequence[str]) -> list[str]:
    """The question, then the lines that say something else."""
    by_words = {_key(question): question}
    for line in lines:
        if key := _key(line):
            by_words.setdefault(key, line)
    return list(by_words.values())


def _key(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
