"""Chat templates that go by a word: what they write, in Jinja as in Go."""

import pytest

from api.runtime import Options, Persona
from api.runtime.presets import PRESETS, written_out
from api.runtime.templates import render
from api.runtime.tools import shows_tools
from tests.ollama_double import prompts

TURNS = [
    {"role": "system", "content": "Be Ada."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi"},
    {"role": "user", "content": "Who are you?"},
]
CHATML = (
    "<|im_start|>system\nBe Ada.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\nHi<|im_end|>\n"
    "<|im_start|>user\nWho are you?<|im_end|>\n<|im_start|>assistant\n"
)
WRITTEN = {
    "chatml": CHATML,
    "llama3": "<|start_header_id|>system<|end_header_id|>\n\nBe Ada.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nHello<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nHi<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nWho are you?<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "mistral": "[INST] Be Ada.\n\nHello [/INST] Hi</s>[INST] Who are you? [/INST]",
    "qwen": CHATML,
    "zephyr": "<|system|>\nBe Ada.</s>\n<|user|>\nHello</s>\n<|assistant|>\nHi</s>\n<|user|>\nWho are you?</s>\n"
    "<|assistant|>\n",
}


@pytest.mark.parametrize("word", sorted(PRESETS))
def test_a_word_stands_for_a_template_that_is_the_same_in_both_languages(word: str) -> None:
    values = {"messages": TURNS, "add_generation_prompt": True, "bos_token": "", "tools": None}
    (made,) = render(PRESETS[word].jinja, [values])
    assert (made.text, made.fault) == (WRITTEN[word], None)
    assert prompts.render(PRESETS[word].go, TURNS, [], None) == WRITTEN[word]


def test_one_of_them_knows_functions() -> None:
    assert [word for word, one in PRESETS.items() if shows_tools(one.jinja)] == ["qwen"]
    weather = {"type": "function", "function": {"name": "weather"}}
    call = {"function": {"name": "weather", "arguments": {"city": "Rome"}}}
    turns = [
        {"role": "user", "content": "Rain?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "no"},
    ]
    values = {"messages": turns, "add_generation_prompt": True, "tools": [weather]}
    (made,) = render(PRESETS["qwen"].jinja, [values])
    assert made.fault is None
    assert '<tools>\n{"type": "function", "function": {"name": "weather"}}\n</tools>' in made.text
    assert (
        '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>' in made.text
    )
    assert "<tool_response>\nno\n</tool_response>" in made.text


def test_what_ends_a_turn_is_a_stop_unless_the_persona_has_its_own() -> None:
    assert written_out(Persona(template="llama3")).parameters.stop == ("<|eot_id|>",)
    own = Persona(template="llama3", parameters=Options(stop=("#",)))
    assert written_out(own, in_go=True).parameters.stop == ("#",)
    for persona in (Persona(), Persona(template="{{ messages }}")):
        assert written_out(persona) is persona
