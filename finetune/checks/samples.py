"""What an exported model is tried on: texts and conversations of ours, and prompts of the dataset."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from finetune.data.rows import Chat, Conversation, Preference, Row
from finetune.job.stage import StageFailed
from finetune.tokenizer import prompt_ids, prompt_of

PROMPTS = 8
RENDERED = 32
LONGEST_PROMPT = 2048  # a probe must fit every context a model may be served with

TEXTS = (
    "Hello, world!",
    "The quick brown fox jumps over 13 lazy dogs, 3.14159 times; it's done.",
    "  leading and trailing spaces  ",
    "tabs\tand\nnewlines\n\n\nand\r\nmore",
    "def f(x):\n    return {'a': [1, 2, 3], \"b\": x ** 2}\n",
    "\u00dcber die Stra\u00dfe: \u00e0 la carte, na\u00efve, \u0142\u00f3d\u017a",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! \u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd",
    "\u4f60\u597d\uff0c\u4e16\u754c\u3002\u3053\u3093\u306b\u3061\u306f \uc548\ub155",
    "\U0001f680\U0001f999 emoji \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "1 22 333 4444 55555 1,000,000.00 0xFF 2026-01-31",
    "I'm, you're, HE'S, they'll, we'd -- quotes \u201cso\u201d \u2026",
)
CONVERSATIONS: tuple[Conversation, ...] = (
    [{"role": "user", "content": "Hello"}],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who are you?"}],
    [
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "Two."},
        {"role": "user", "content": "And\nthen {{ x }}?"},
    ],
)
LONG: Conversation = [
    {"role": role, "content": f"{text} ({number})"}
    for number in range(20)
    for role, text in (("user", "And what comes next?"), ("assistant", "The one after it."))
] + [{"role": "user", "content": "And what comes last? " * 40}]


@dataclass(frozen=True, slots=True)
class Asked:
    """A conversation up to a question, and the tools that it could call."""

    messages: Conversation
    tools: list[dict[str, Any]] | None = None


def asked_in(rows: Iterable[Row]) -> list[Asked]:
    """What stands before the last answers of these rows."""
    return [Asked(prompt_of(row.messages), row.tools) for row in rows if isinstance(row, Chat)] + [
        Asked(row.prompt) for row in rows if isinstance(row, Preference)
    ]


def of_all_lengths(asked: Sequence[Asked]) -> list[Asked]:
    """At most 32 of them, from the shortest to the longest."""
    order = sorted(asked, key=lambda one: len(str(one.messages)))
    if len(order) <= RENDERED:
        return order
    return [order[n * (len(order) - 1) // (RENDERED - 1)] for n in range(RENDERED)]


def choose_prompts(
    tokenizer: PreTrainedTokenizerBase, asked: Iterable[Asked]
) -> list[Conversation]:
    """The first eight different prompts that are not too long; a greeting when there is none."""
    chosen: list[Conversation] = []
    for one in asked:
        if one.messages in chosen or not _is_plain(one):
            continue
        if len(prompt_ids(tokenizer, one.messages)) <= LONGEST_PROMPT:
            chosen.append(one.messages)
        if len(chosen) == PROMPTS:
            break
    return chosen or [CONVERSATIONS[0]]


def _is_plain(asked: Asked) -> bool:
    """Whether every runtime takes it as it is: it ends with a question, and no tool speaks in it."""
    roles = [turn["role"] for turn in asked.messages]
    texts = all(isinstance(turn.get("content"), str) for turn in asked.messages)
    return roles[-1:] == ["user"] and "tool" not in roles and texts and not asked.tools


def renderable(tokenizer: PreTrainedTokenizerBase) -> list[Asked]:
    """Those of our conversations that the template takes: some refuse a system turn."""
    good = []
    for messages in (*CONVERSATIONS, LONG):
        try:
            prompt_ids(tokenizer, messages)
        except StageFailed:
            continue
        good.append(Asked(messages))
    return good
