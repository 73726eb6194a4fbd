"""The words we say to a model around a user's question; nothing else composes a prompt.

Values are filled in once, so a brace or a template mark in a document stays text. The demo model is trained
on exactly these forms (`examples/recipe/prompts.py`; a test holds the two together).
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from langchain_core.prompts import PromptTemplate

REFUSAL = "The passages do not contain the answer."

ANSWER = PromptTemplate.from_template(
    "Answer the question from the passages below and from nothing else. "
    "After each statement name the passage it comes from, like [1]. "
    "If they do not hold the answer, say only: "
    + REFUSAL
    + "\n\n{passages}\n\nQuestion: {question}"
)

EXPAND = PromptTemplate.from_template(
    "Write {count} other ways to ask the question below, one a line and nothing else.\n\nQuestion: {question}"
)

EXPAND_IN_CONVERSATION = PromptTemplate.from_template(
    "A conversation so far:\n\n{turns}\n\n"
    "Write {count} ways to ask the last question below, one a line and nothing else. "
    "Each must be understood without the conversation.\n\nQuestion: {question}"
)


_MARKER = re.compile(r"\[(\s*\d+(?:\s*[,;]\s*\d+)*\s*)\]")
_BLANK_LINES = re.compile(r"\n\s*\n")
_INVISIBLE = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]")
"""Zero-width marks, overrides of the direction, tags; not the joiners that some scripts need."""


class Passage(NamedTuple):
    """One passage as it is shown to the model."""

    number: int
    text: str
    document: str
    page: int
    label: str = ""


def quoted(text: str) -> str:
    """A passage's text as it stands in a prompt: one block without blank lines, whose own marks like [3] read (3), and
    without characters that nobody sees.
    """
    text = _INVISIBLE.sub("", text.strip())
    text = _MARKER.sub(lambda marker: f"({marker[1].strip()})", text)
    return _BLANK_LINES.sub("\n", text)


def passage_block(passage: Passage) -> str:
    """`[n] text (document, page p)`, the document without its `.pdf`, and what the page is called behind its number."""
    name = passage.document.removesuffix(".pdf")
    page = f"page {passage.page}: {passage.label}" if passage.label else f"page {passage.page}"
    return f"[{passage.number}] {quoted(passage.text)} ({name}, {page})"


def answer_prompt(question: str, passages: Sequence[Passage]) -> str:
    """The user message that asks for an answer from numbered passages."""
    blocks = "\n\n".join(passage_block(passage) for passage in passages)
    return ANSWER.format(passages=blocks, question=question.strip())


def expand_prompt(question: str, count: int, turns: str = "") -> str:
    """The user message that asks for `count` rephrasings, stand-alone when `turns` of a conversation are given."""
    if turns:
        return EXPAND_IN_CONVERSATION.format(count=count, question=question.strip(), turns=turns)
    return EXPAND.format(count=count, question=question.strip())
