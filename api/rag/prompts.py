"""The words we say to a model around a user's question; nothing else composes a prompt but a model's own template.

Values are filled in once, so a brace or a template mark in a document stays text. The demo model is trained
on exactly these forms (`examples/recipe/prompts.py`; a test holds the two together).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from langchain_core.prompts import PromptTemplate

from api.models.prompt_template import CONTEXT, INPUT, names_in
from api.runtime import Message

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


@dataclass(frozen=True, slots=True)
class Wording:
    """A model's `prompt_template`, which was checked, with a value for each of its variables; without one the question
    stands as it is.
    """

    template: str = ""
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_context(self) -> bool:
        """Whether it says where passages stand."""
        return bool(self.template) and CONTEXT in names_in(self.template, "prompt_template")

    def around(self, question: str, context: str = "") -> str:
        """The question in these words."""
        if not self.template:
            return question
        return self.template.format(**{**self.values, INPUT: question, CONTEXT: context})


PLAIN = Wording()


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


def worded(wording: "Wording", question: str, passages: Sequence[Passage]) -> str:
    """The user message that asks for an answer from numbered passages, in the words of a model's own template: with the
    passages where it says so, else as its question stands among ours.
    """
    if wording.has_context:
        blocks = "\n\n".join(passage_block(passage) for passage in passages)
        return wording.around(question.strip(), blocks)
    return answer_prompt(wording.around(question), passages)


def asked_plainly(wording: "Wording", messages: Sequence[Message]) -> Sequence[Message]:
    """A conversation without documents, whose last turn of the user's stands in those words."""
    if not wording.template:
        return messages
    last = max((n for n, turn in enumerate(messages) if turn.role == "user"), default=None)
    if last is None:
        return messages
    asked = replace(messages[last], content=wording.around(messages[last].content))
    return [*messages[:last], asked, *messages[last + 1 :]]


def expand_prompt(question: str, count: int, turns: str = "") -> str:
    """The user message that asks for `count` rephrasings, stand-alone when `turns` of a conversation are given."""
    if turns:
        return EXPAND_IN_CONVERSATION.format(count=count, question=question.strip(), turns=turns)
    return EXPAND.format(count=count, question=question.strip())
