"""Multi-query: other ways to ask a question, written by the model that will answer it."""

import logging
import re
from collections.abc import Sequence
from contextlib import aclosing

from api.errors import ApiError, ModelNotFound
from api.rag.prompts import expand_prompt
from api.runtime import Message, ModelRuntime, Options

LOGGER = logging.getLogger("api.rag")
MAX_TOKENS = 200
MAX_LINE = 300
LAST_TURNS = 6
"""Messages of a conversation that are shown: three questions with their answers."""
MAX_TURN = 600

_LABEL = re.compile(r"^\s*(?:[-*\u2022]+|\(?\d{1,2}[.):]|[Qq]\d{0,2}:|[Qq]uestion \d*:)\s*")
_QUOTES = "\"'`\u201c\u201d\u2018\u2019*"
_ECHO = re.compile(
    r"^(?:write|each must|question:|a conversation so far|user:|assistant:|here are|sure\b|certainly\b)",
    re.IGNORECASE,
)


async def queries(
    runtime: ModelRuntime,
    model: str,
    question: str,
    turns: Sequence[Message],
    count: int,
    num_ctx: int | None = None,
) -> list[str]:
    """The question and up to `count` other ways to ask it, each understood without the conversation.

    One chat call. When it fails or says nothing useful, the question stands alone; only an unknown
    model is an error.
    """
    if count == 0:
        return [question]
    prompt = expand_prompt(question, count, _written(turns))
    options = Options(temperature=0, max_tokens=MAX_TOKENS, seed=0, num_ctx=num_ctx)
    try:
        answer = await _answer(runtime, model, prompt, options)
    except ModelNotFound:
        raise
    except ApiError as error:
        LOGGER.warning("the question is searched as it is: %s", error.detail)
        return [question]
    return _distinct([question, *_lines(answer)])[: count + 1]


async def _answer(runtime: ModelRuntime, model: str, prompt: str, options: Options) -> str:
    async with aclosing(runtime.chat(model, [Message("user", prompt)], options)) as pieces:
        return "".join([piece.text async for piece in pieces])


def _written(turns: Sequence[Message]) -> str:
    names = {"user": "User", "assistant": "Assistant"}
    return "\n".join(
        f"{names[turn.role]}: {turn.content.strip()[:MAX_TURN]}"
        for turn in list(turns)[-LAST_TURNS:]
        if turn.role in names
    )


def _lines(answer: str) -> list[str]:
    lines = (_LABEL.sub("", line).strip().strip(_QUOTES).strip() for line in answer.splitlines())
    return [line for line in lines if 3 < len(line) <= MAX_LINE and not _ECHO.match(line)]


def _distinct(lines: Sequence[str]) -> list[str]:
    by_words: dict[str, str] = {}
    for line in lines:
        by_words.setdefault(" ".join(re.findall(r"\w+", line.casefold())), line)
    by_words.pop("", None)
    return list(by_words.values())
