"""The tokenizer every stage uses: the base model's own, with a chat template that llama.cpp will read the same way."""

import functools
import re
import unicodedata
from pathlib import Path
from typing import Any, Literal

from transformers import PreTrainedTokenizerBase

from finetune import chat_templates
from finetune.bases import tokenizer_files
from finetune.bases.sentencepiece import SPACE
from finetune.bases.vocabulary import Marks
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


_OWN_DATE = re.compile(
    r"""if not date_string is defined\s*-?%}\s*({%-?\s*set date_string = "[^"]*"\s*-?%})"""
)
_PLAIN_MARKS = ("<unk>", "<s>", "<|endoftext|>")
_ASKED, _TOLD, _ANSWERED = "Qwxq", "Jkzj", "Vbhv"


def load_tokenizer(folder: Path, template: str | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder, able to render a conversation, by its own template or by this one.

    Raises `StageFailed`.
    """
    tokenizer = tokenizer_files.read(folder)
    if template is not None:
        tokenizer.chat_template = chat_templates.take(tokenizer, template)
    if tokenizer.eos_token_id is None:
        raise StageFailed(
            "Tokenizer unusable", f"{folder.name} has no end token, so the model could never stop."
        )
    known = tokenizer.chat_template or DEFAULT_TEMPLATE
    text = known["default"] if isinstance(known, dict) else known
    tokenizer.chat_template = _with_its_own_date(str(text))
    if tokenizer.bos_token_id is not None and _lacks_bos(tokenizer):
        tokenizer.chat_template = "{{ bos_token }}" + tokenizer.chat_template
    return tokenizer


def _with_its_own_date(template: str) -> str:
    """llama.cpp gives every template today's date; one that has a fixed date of its own keeps it."""
    own = _OWN_DATE.search(template)
    return own.group(1) + template if own else template


def begins_with_bos(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the begin token is put before any text."""
    begin = tokenizer.bos_token_id
    return begin is not None and tokenizer.encode("a")[:1] == [begin]


def _lacks_bos(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether llama.cpp would put the begin token before a prompt that the template renders without it."""
    prompt = prompt_ids(tokenizer, [{"role": "user", "content": "a"}])
    return begins_with_bos(tokenizer) and prompt[:1] != [tokenizer.bos_token_id]


def in_normal_form(tokenizer: PreTrainedTokenizerBase, text: str) -> str:
    """A text in the Unicode form that the tokenizer brings every text into; llama.cpp's does not do that."""
    normalizer = getattr(getattr(tokenizer, "backend_tokenizer", None), "normalizer", None)
    if normalizer is None or text.isascii():
        return text
    form = _normal_form(normalizer.normalize_str("e\u0301\ufb01"))
    return unicodedata.normalize(form, text) if form else text


def _normal_form(tried: str) -> Literal["NFC", "NFKC"] | None:
    if "\u00e9" not in tried:
        return None
    return "NFKC" if "fi" in tried else "NFC"


def as_read(tokenizer: PreTrainedTokenizerBase, messages: Conversation) -> Conversation:
    """The conversation as the model reads it, in training as in chat: in the tokenizer's form of Unicode, and with a
    system turn put before the user's where the template knows none, as llama.cpp does.
    """
    turns = [
        {**turn, "content": in_normal_form(tokenizer, turn["content"])}
        if isinstance(turn.get("content"), str)
        else turn
        for turn in messages
    ]
    if not _begins_with_system(turns) or _takes_system(tokenizer, str(tokenizer.chat_template)):
        return turns
    system, after, *rest = turns
    if after["role"] != "user":  # what the assistant says is learned: it stays its own words
        return [{**system, "role": "user"}, after, *rest]
    return [{**after, "content": f"{system['content']}\n{after['content']}"}, *rest]


def _begins_with_system(turns: Conversation) -> bool:
    """Whether a system turn stands before another one that has a text."""
    return (
        len(turns) > 1
        and turns[0]["role"] == "system"
        and all(isinstance(turn.get("content"), str) for turn in turns[:2])
    )


@functools.lru_cache(maxsize=8)
def _takes_system(tokenizer: PreTrainedTokenizerBase, template: str) -> bool:
    tried = [{"role": "system", "content": _TOLD}, {"role": "user", "content": _ASKED}]
    try:
        return _TOLD in str(
            tokenizer.apply_chat_template(tried, chat_template=template, tokenize=False)
        )
    except Exception:  # a template raises what it likes
        return False


def end_marks(tokenizer: PreTrainedTokenizerBase, folder: Path) -> list[int]:
    """Tokens that end an answer: what the template writes behind one, the tokenizer's own, and what the folder's
    `generation_config.json` names.
    """
    written = _mark_after_an_answer(tokenizer)
    own = tokenizer.eos_token_id
    known = [*([written] if written is not None else []), own, *tokenizer_files.end_ids(folder)]
    return list(dict.fromkeys(int(number) for number in known if isinstance(number, int)))


def marks_of(tokenizer: PreTrainedTokenizerBase, folder: Path) -> Marks:
    """What the GGUF of this folder has to say beside its tokens."""
    first = tokenizer.convert_ids_to_tokens(ids(tokenizer, "a"))[0]
    return Marks(
        begins=begins_with_bos(tokenizer),
        end=int(tokenizer.eos_token_id),
        ends=tuple(end_marks(tokenizer, folder)),
        space_first=str(first).startswith(SPACE),
        strips=any(
            token.rstrip and token.content not in _PLAIN_MARKS
            for token in tokenizer.added_tokens_decoder.values()
        ),
    )


def _mark_after_an_answer(tokenizer: PreTrainedTokenizerBase) -> int | None:
    turns = [{"role": "user", "content": _ASKED}, {"role": "assistant", "content": _ANSWERED}]
    try:
        behind = render(tokenizer, turns, prompt=False).rpartition(_ANSWERED)[2]
    except StageFailed:
        return None
    for number in ids(tokenizer, behind):
        if number in tokenizer.added_tokens_decoder:
            return number
        if str(tokenizer.decode([number])).strip():
            return None
    return None


def render(
    tokenizer: Any,
    messages: Conversation,
    prompt: bool,
    tools: list[dict[str, Any]] | None = None,
) -> str:
    """The conversation as text; as a prompt it ends where the assistant begins. Raises `StageFailed`."""
    try:
        text: Any = tokenizer.apply_chat_template(
            as_read(tokenizer, messages), tools=tools, tokenize=False, add_generation_prompt=prompt
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


def prompt_ids(
    tokenizer: PreTrainedTokenizerBase,
    messages: Conversation,
    tools: list[dict[str, Any]] | None = None,
) -> list[int]:
    """Token ids of the conversation as a prompt."""
    return ids(tokenizer, render(tokenizer, messages, prompt=True, tools=tools))


def prompt_of(messages: Conversation) -> Conversation:
    """What stands before the last assistant turn: the prompt whose answer was to be learned."""
    last = max(place for place, turn in enumerate(messages) if turn["role"] == "assistant")
    return messages[:last]
