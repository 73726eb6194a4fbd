"""Chat templates that go by a word: for models whose files have none, or a wrong one. As their makers publish them."""

from dataclasses import dataclass, replace

from api.runtime import Persona


@dataclass(frozen=True, slots=True)
class Preset:
    """One form of conversations, for llama.cpp and back ends in Jinja, for Ollama in Go; and what ends a turn in it."""

    jinja: str
    go: str
    stop: tuple[str, ...]


_CHATML = Preset(
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n",
    ("<|im_end|>",),
)
_LLAMA3 = Preset(
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim "
    "+ '<|eot_id|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}"
    "{% endif %}",
    "{{- range .Messages }}<|start_header_id|>{{ .Role }}<|end_header_id|>\n\n{{ .Content }}<|eot_id|>{{ end }}"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    ("<|eot_id|>",),
)
_QWEN = Preset(
    "{% set system = messages[0]['content'] if messages[0]['role'] == 'system' "
    "else 'You are a helpful assistant.' %}"
    "{{ '<|im_start|>system\\n' + system }}"
    "{% if tools %}"
    "{{ '\\n\\n# Tools\\n\\nYou may call one or more functions to assist with the user query.\\n\\n"
    "You are provided with function signatures within <tools></tools> XML tags:\\n<tools>' }}"
    "{% for tool in tools %}{{ '\\n' }}{{ tool | tojson }}{% endfor %}"
    "{{ '\\n</tools>\\n\\nFor each function call, return a json object with function name and arguments within "
    '<tool_call></tool_call> XML tags:\\n<tool_call>\\n{"name": <function-name>, "arguments": <args-json-object>}'
    "\\n</tool_call>' }}"
    "{% endif %}"
    "{{ '<|im_end|>\\n' }}"
    "{% for message in messages if message['role'] != 'system' %}"
    "{% if message['role'] == 'tool' %}"
    "{{ '<|im_start|>user\\n<tool_response>\\n' + message['content'] + '\\n</tool_response><|im_end|>\\n' }}"
    "{% else %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + (message['content'] or '') }}"
    "{% for call in message['tool_calls'] or [] %}"
    "{{ '\\n<tool_call>\\n{\"name\": \"' + call['function']['name'] + '\", \"arguments\": ' }}"
    "{{ call['function']['arguments'] if call['function']['arguments'] is string "
    "else call['function']['arguments'] | tojson }}{{ '}\\n</tool_call>' }}"
    "{% endfor %}"
    "{{ '<|im_end|>\\n' }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    _CHATML.go,
    ("<|im_end|>",),
)
_MISTRAL = Preset(
    "{{ bos_token }}"
    "{% set said = namespace(system='') %}"
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{% set said.system = message['content'] + '\\n\\n' %}"
    "{% elif message['role'] == 'user' %}"
    "{{ '[INST] ' + said.system + message['content'] + ' [/INST]' }}{% set said.system = '' %}"
    "{% else %}{{ ' ' + message['content'] + '</s>' }}{% endif %}"
    "{% endfor %}",
    '{{- $system := "" }}{{ range .Messages }}{{ if eq .Role "system" }}{{ $system = .Content }}'
    '{{ else if eq .Role "user" }}[INST] {{ if $system }}{{ $system }}\n\n{{ end }}{{ $system = "" }}{{ .Content }} '
    "[/INST]{{ else }} {{ .Content }}</s>{{ end }}{{ end }}",
    ("</s>", "[INST]"),
)
_ZEPHYR = Preset(
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>\\n' + message['content'] + '</s>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}",
    "{{- range .Messages }}<|{{ .Role }}|>\n{{ .Content }}</s>\n{{ end }}<|assistant|>\n",
    ("</s>",),
)
PRESETS = {
    "chatml": _CHATML,
    "llama3": _LLAMA3,
    "qwen": _QWEN,
    "mistral": _MISTRAL,
    "zephyr": _ZEPHYR,
}


def written_out(persona: Persona, *, in_go: bool = False) -> Persona:
    """A persona whose template is one of these words, with its source instead, and its stops where it sets none."""
    preset = PRESETS.get((persona.template or "").strip())
    if preset is None:
        return persona
    parameters = persona.parameters
    if parameters.stop is None:
        parameters = replace(parameters, stop=preset.stop)
    template = preset.go if in_go else preset.jinja
    return replace(persona, template=template, parameters=parameters)
