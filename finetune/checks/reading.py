"""Whether a GGUF file reads as the tokenizer of the training does: the same text, the same tokens."""

from collections.abc import Iterable

from transformers import PreTrainedTokenizerBase

from finetune.checks.engine import Engine
from finetune.checks.samples import Asked
from finetune.checks.verdict import Refused
from finetune.data.rows import Conversation
from finetune.tokenizer import ids, prompt_ids


def shown(messages: Conversation) -> str:
    """The beginning of the last turn, for messages."""
    return repr(str(messages[-1].get("content") or "")[:80])


def check_texts(tokenizer: PreTrainedTokenizerBase, engine: Engine, texts: Iterable[str]) -> int:
    """Equal token ids for plain text. Raises `Refused`; returns how many were compared."""
    count = 0
    for text in texts:
        ours, theirs = ids(tokenizer, text), engine.tokens(text)
        if ours != theirs:
            raise Refused(
                "The GGUF cuts text into other tokens",
                f"Text {text[:80]!r}: {_difference(ours, theirs)}.",
            )
        count += 1
    return count


def check_prompts(
    tokenizer: PreTrainedTokenizerBase, engine: Engine, prompts: Iterable[Asked]
) -> int:
    """Equal token ids for rendered conversations, begin token included. Raises `Refused`."""
    count = 0
    for asked in prompts:
        if _has_tools(asked):
            continue
        ours = prompt_ids(tokenizer, asked.messages, asked.tools)
        theirs = engine.prompt_tokens(asked.messages, asked.tools)
        if ours != theirs:
            raise Refused(
                "The GGUF renders prompts differently",
                f"Prompt {shown(asked.messages)}: {_difference(ours, theirs)}. "
                "The chat template in the file is not the one of the training.",
            )
        count += 1
    return count


def check_tools(
    tokenizer: PreTrainedTokenizerBase, engine: Engine, prompts: Iterable[Asked]
) -> str | None:
    """The same of conversations with tools, which runtimes write in ways of their own: what differs first, or None."""
    for asked in prompts:
        if _has_tools(asked):
            ours = prompt_ids(tokenizer, asked.messages, asked.tools)
            try:
                theirs = engine.prompt_tokens(asked.messages, asked.tools)
            except Refused as refused:
                return f"A conversation with tools is not taken: {refused.detail}"
            if ours != theirs:
                return (
                    f"With tools llama.cpp writes other prompts than the training had. Prompt "
                    f"{shown(asked.messages)}: {_difference(ours, theirs)}."
                )
    return None


def _has_tools(asked: Asked) -> bool:
    return bool(asked.tools) or any(
        turn["role"] == "tool" or turn.get("tool_calls") for turn in asked.messages
    )


def _difference(ours: list[int], theirs: list[int]) -> str:
    place = next(
        (n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b),
        min(len(ours), len(theirs)),
    )
    return (
        f"{len(ours)} tokens in training, {len(theirs)} in the GGUF; the first difference is at {place}: "
        f"{ours[place : place + 4]} against {theirs[place : place + 4]}"
    )
