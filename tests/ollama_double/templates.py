"""The built-in templates, and which of them a GGUF's own chat template looks like.

As in Ollama the look is the number of edits between the two texts: below a hundred, the built-in one takes over.
"""

from dataclasses import dataclass

_MOST_EDITS = 100


@dataclass(frozen=True)
class Builtin:
    """A template of the server's own, and what ends an answer in it."""

    name: str
    go: str
    stops: tuple[str, ...]
    look_alikes: tuple[str, ...]


_TURNS = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + "
    "'\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
BUILTINS = (
    Builtin(
        "chatml",
        "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n"
        "{{ end }}<|im_start|>assistant\n",
        ("<|im_start|>", "<|im_end|>"),
        (
            _TURNS,
            "{{bos_token}}" + _TURNS,
            "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}"
            + _TURNS,
        ),
    ),
    Builtin(
        "zephyr",
        "{{- range .Messages }}<|{{ .Role }}|>\n{{ .Content }}</s>\n{{ end }}<|assistant|>\n",
        ("<|system|>", "<|user|>", "<|assistant|>"),
        (
            "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] "
            "+ eos_token }}\n{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + "
            "eos_token }}\n{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + "
            "eos_token }}\n{% endif %}\n{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n"
            "{% endif %}\n{% endfor %}",
        ),
    ),
    Builtin(
        "mistral-instruct",
        '{{- range .Messages }}{{ if eq .Role "assistant" }} {{ .Content }}</s>'
        "{{ else }}[INST] {{ .Content }} [/INST]{{ end }}{{ end }}",
        ("[INST]", "[/INST]"),
        (
            "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) "
            "%}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif "
            "%}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif "
            "message['role'] == 'assistant' %}{{ message['content'] + eos_token}}{% else %}{{ raise_exception('Only "
            "user and assistant roles are supported!') }}{% endif %}{% endfor %}",
        ),
    ),
)


def closest(template: str) -> Builtin | None:
    """The built-in template that takes over from a GGUF's own, if any looks like it."""
    scored = [
        (_edits(template, text), builtin.name, builtin)
        for builtin in BUILTINS
        for text in builtin.look_alikes
        if abs(len(template) - len(text)) < _MOST_EDITS
    ]
    edits, _, builtin = min(scored, default=(_MOST_EDITS, "", BUILTINS[0]))
    return builtin if edits < _MOST_EDITS else None


def _edits(one: str, other: str) -> int:
    """Levenshtein's distance."""
    row = list(range(len(other) + 1))
    for n, a in enumerate(one, 1):
        left, row[0], diagonal = n, n, row[0]
        for m, b in enumerate(other, 1):
            left = min(left + 1, row[m] + 1, diagonal + (a != b))
            diagonal, row[m] = row[m], left
    return row[-1]
