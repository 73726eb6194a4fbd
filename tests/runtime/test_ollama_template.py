"""A Go template is derived from a Jinja chat template only where both write the same prompts."""

import pytest

from api.runtime.gguf import Header
from api.runtime.ollama.template import derive

TURN = "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
CHATML = "{% for m in messages %}" + TURN + "{% endfor %}"
ANSWER = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
HEAD = "<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content | trim }}<|eot_id|>"

DERIVED = {
    "chatml": CHATML + ANSWER,
    "chatml_after_the_begin_token": "{{ bos_token }}" + CHATML + ANSWER,
    "a_system_prompt_of_its_own": (
        "{% if messages[0].role != 'system' %}<|im_start|>system\nYou help.<|im_end|>\n{% endif %}"
        + CHATML
        + ANSWER
    ),
    "contents_that_are_trimmed": (
        "{% for m in messages %}" + HEAD + "{% endfor %}"
        "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
    ),
    "headings": (
        "{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}\n\n"
        "{% elif m.role == 'user' %}### Ask:\n{{ m.content }}\n\n"
        "{% else %}### Say:\n{{ m.content }}{{ eos_token }}\n\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}### Say:\n{% endif %}"
    ),
}
LEFT_ALONE = {
    "none": "",
    "system_within_the_first_question": (
        "{% for m in messages %}{% if m.role == 'user' %}[INST] "
        "{% if loop.index0 == 1 and messages[0].role == 'system' %}{{ messages[0].content }} {% endif %}"
        "{{ m.content }} [/INST]{% elif m.role == 'assistant' %} {{ m.content }}</s>{% endif %}{% endfor %}"
    ),
    "no_system": "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}"
    + CHATML,
    "today": "{{ strftime_now('%Y') }}" + CHATML + ANSWER,
    "what_is_said_decides": CHATML.replace(
        "{{ m.content }}", "{{ m.content | replace('d', 'D') }}"
    ),
    "braces_of_go": CHATML.replace("<|im_end|>", "{{ '{{' }}") + ANSWER,
    "braces_around_what_is_said": CHATML.replace("{{ m.content }}", "{{ '{' + m.content + '}' }}")
    + ANSWER,
    "does_not_parse": "{% for x in %}",
}


def header(template: str) -> Header:
    return Header(
        architecture="llama",
        context_length=4096,
        template=template,
        quantization="",
        parameter_count=1,
        embeds=False,
        size_bytes=1,
        markers=frozenset(),
        begin_token="<s>",
        end_token="</s>",
        adds_begin_token=True,
    )


@pytest.mark.parametrize("kind", DERIVED)
def test_a_template_of_the_plain_form_is_derived(kind: str) -> None:
    form = derive(header(DERIVED[kind]))
    assert form is not None
    assert "<s>" not in form.go_template  # llama.cpp puts it there
    assert form.go_template.endswith(form.answer)


@pytest.mark.parametrize("kind", LEFT_ALONE)
def test_a_template_of_another_form_is_left_alone(kind: str) -> None:
    assert derive(header(LEFT_ALONE[kind])) is None


def test_the_form_writes_the_prompt_word_for_word() -> None:
    form = derive(header(DERIVED["a_system_prompt_of_its_own"]))
    assert form
    opening = "<|im_start|>system\nYou help.<|im_end|>\n"
    said = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert form.prompt([("user", "Hi")]) == opening + said
    assert form.stops == ("<|im_end|>",)
    assert form.go_template == (
        "{{ if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n{{ else }}"
        + opening
        + "{{ end }}"
        '{{ range .Messages }}{{ if eq .Role "user" }}<|im_start|>user\n{{ .Content }}<|im_end|>\n'
        '{{ else if eq .Role "assistant" }}<|im_start|>assistant\n{{ .Content }}<|im_end|>\n'
        "{{ end }}{{ end }}<|im_start|>assistant\n"
    )


def test_the_mark_that_ends_an_answer_is_its_stop() -> None:
    form = derive(header(DERIVED["headings"]))
    assert form
    assert form.stops == ("</s>",)
