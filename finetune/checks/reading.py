"""Whether a GGUF file reads as the tokenizer of the training does: the same text, the same tokens."""

from collections.abc import Iterable

from transformers import PreTrainedTokenizerBase

from finetune.checks.engine import Engine
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
    tokenizer: PreTrainedTokenizerBase, engine: Engine, prompts: Iterable[Conversation]
) -> int:
    """Equal token ids for rendered conversations, begin token included. Raises `Refused`."""
    count = 0
    for messages in prompts:
        ours, theirs = prompt_ids(tokenizer, messages), engine.prompt_tokens(messages)
        if ours != theirs:
            raise Refused(
                "The GGUF renders prompts differently",
                f"Prompt {shown(messages)}: {_difference(ours, theirs)}. "
                "The chat template in the file is not the one of the training.",
            )
        count += 1
    return count


def _difference(ours: list[int], theirs: list[int]) -> str:
    place = next(
        (n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b),
        min(len(ours), len(theirs)),
    )
    return (
        f"{len(ours)} tokens in training, {len(theirs)} in the GGUF; the first difference is at {place}: "
        f"{ours[place : place + 4]} against {theirs[place : place + 4]}"
    )
