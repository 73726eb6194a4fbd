"""A chat template that is not the base's own: given as text, or ChatML with the marks that it needs.

What training leaves of it lies in `train/tokenizer/`, from where the export takes it.
"""

import json
import shutil
from pathlib import Path

from transformers import AddedToken, PreTrainedTokenizerBase

from finetune.bases import tokenizer_files
from finetune.job.files import read_json

CHATML = "chatml"
"""The name under which ChatML is asked for."""
BEGIN, END = "<|im_start|>", "<|im_end|>"
TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\\n' }}"
    "{% else %}"
    "{{ message['content'] + '<|im_end|>\\n' }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def take(tokenizer: PreTrainedTokenizerBase, wanted: str) -> str:
    """The text of a template; for ChatML the tokenizer also learns its marks, and that its end mark ends."""
    if wanted != CHATML:
        return wanted
    known = tokenizer.get_vocab()
    marks = [AddedToken(mark, special=True) for mark in (BEGIN, END) if mark not in known]
    if marks:
        tokenizer.add_special_tokens({"additional_special_tokens": marks})
    tokenizer.eos_token = END
    return TEMPLATE


def rows_needed(base: Path, tokenizer: PreTrainedTokenizerBase, wanted: str | None) -> int:
    """How many rows the embedding must have for tokens that the base did not know; 0 when it knew them all."""
    if wanted != CHATML:
        return 0
    known = tokenizer_files.read(base).get_vocab()
    if BEGIN in known and END in known:
        return 0
    return max(tokenizer.get_vocab().values()) + 1


def leave(base: Path, tokenizer: PreTrainedTokenizerBase, wanted: str, folder: Path) -> list[Path]:
    """Write the tokenizer that was trained with; where no token was added, the base's own files with the template.

    The template is written as it was given: whoever reads the folder completes it as training did.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tokenizer_files.copy(base, folder)
    for name in ("generation_config.json", "chat_template.json"):
        (folder / name).unlink(missing_ok=True)
    template = wanted
    if wanted == CHATML:
        template = TEMPLATE
        tokenizer.save_pretrained(str(folder))
        (folder / "added_tokens.json").unlink(missing_ok=True)
    path = folder / "tokenizer_config.json"
    config = read_json(path)
    config = config if isinstance(config, dict) else {}
    config.pop("chat_template", None)
    if wanted == CHATML:
        config["added_tokens_decoder"] = tokenizer_files.added_tokens(tokenizer)
    path.write_text(json.dumps(config, indent=1, ensure_ascii=False), "utf-8")
    (folder / "chat_template.jinja").write_text(template, "utf-8")
    return sorted(folder.iterdir())
