"""The tokenizer every stage uses: the base model's own, with a chat template that llama.cpp will read the same way."""

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from finetune.data.rows import Conversation
from finetune.job.stage import StageFailed

# For bases that were never taught to chat: plain words as marks, so that no token has to be added.
DEFAULT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}"
    "{{ '### Assistant:\\n' }}"
    "{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}{{ '\\n\\n' }}"
    "{% else %}"
    "{{ '### ' + message['role'] | capitalize + ':\\n' + message['content'] + '\\n\\n' }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '### Assistant:\\n' }}{% endif %}"
)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder, able to render a conversation. Raises `StageFailed`."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, ImportError) as error:
        raise StageFailed("Tokenizer unusable", f"{folder.name}: {error}") from error
    if tokenizer.eos_token_id is None:
        raise StageFailed(
            "Tokenizer unusable", f"{folder.name} has no end token, so the model could never stop."
        )
    template = tokenizer.chat_template or DEFAULT_TEMPLATE
    tokenizer.chat_template = template["default"] if isinstance(template, dict) else template
    if tokenizer.bos_token_id is not None and _lacks_bos(tokenizer):
        tokenizer.chat_template = "{{ bos_token }}" + tokenizer.chat_template
    return tokenizer


def _lacks_bos(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether llama.cpp would put the begin token before a prompt that the template renders without it."""
    begin = tokenizer.bos_token_id
    prompt = prompt_ids(tokenizer, [{"role": "user", "content": "a"}])
    return tokenizer.encode("a")[:1] == [begin] and prompt[:1] != [begin]


def render(tokenizer: PreTrainedTokenizerBase, messages: Conversation, prompt: bool) -> str:
    """The conversation as text; as a prompt it ends where the assistant begins. Raises `StageFailed`."""
    try:
        text: Any = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=prompt
        )
    except Exception as error:  # a template raises what it likes
        raise template_refuses(error, messages) from error
    return str(text)


def template_refuses(error: Exception, messages: Conversation) -> StageFailed:
    """What a template's error means to whoever gave the conversation."""
    return StageFailed(
        "Chat template refuses the conversation",
        f"{type(error).__name__}: {error}. Turns: {[turn['role'] for turn in messages]}.",
    )


def ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Token ids of rendered text: marks count as marks, nothing is put around it."""
    return list(tokenizer.encode(text, add_special_tokens=False))


def prompt_ids(tokenizer: PreTrainedTokenizerBase, messages: Conversation) -> list[int]:
    """Token ids of the conversation as a prompt."""
    return ids(tokenizer, render(tokenizer, messages, prompt=True))


def prompt_of(messages: Conversation) -> Conversation:
    """What stands before the last assistant turn: the prompt whose answer was to be learned."""
    last = max(place for place, turn in enumerate(messages) if turn["role"] == "assistant")
    return messages[:last]
