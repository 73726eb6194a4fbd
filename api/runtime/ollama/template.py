"""A Go TEMPLATE for Ollama that writes the same prompts as a model's Jinja chat template, where one can be derived.

Ollama guesses the template of a GGUF file by its likeness to those it knows. Here the Jinja template is rendered on
conversations of place holders, cut where they stand, and put together in one plain form; the form is used only when
it writes the same text as the template on other conversations (docs/decisions/0006-go-templates.md).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.runtime.gguf import Header
from api.runtime.templates import render

Turn = tuple[str, str]
_SYSTEM, _FIRST, _SECOND, _THIRD, _FOURTH = (f"Xq{n}zX" for n in range(5))
_TURNS: tuple[Turn, ...] = (("user", "1"), ("assistant", "2 <b>& 'c'"), ("user", 'd "e"'))
_CHECKS: tuple[tuple[Turn, ...], ...] = (
    (("user", "Hello"),),
    (("system", "Be kind.\n\nBe brief."), ("user", "Who are you?")),
    _TURNS,
    (("system", "S"), *_TURNS, ("assistant", "4"), ("user", "What is {{ 5 }}?\nSay it.")),
)


@dataclass(frozen=True, slots=True)
class Form:
    """The fixed text around what is said. `system` opens the prompt when there is a system turn, else `opening`."""

    opening: str
    system: tuple[str, str]
    user: tuple[str, str]
    assistant: tuple[str, str]
    answer: str

    def prompt(self, turns: Sequence[Turn]) -> str:
        """The prompt that Ollama makes of a conversation with `go_template`."""
        system = "\n\n".join(content for role, content in turns if role == "system")
        around = {"user": self.user, "assistant": self.assistant}
        said = [
            around[role][0] + content + around[role][1] for role, content in turns if role in around
        ]
        opening = self.system[0] + system + self.system[1] if system else self.opening
        return opening + "".join(said) + self.answer

    @property
    def go_template(self) -> str:
        """The form as Ollama's TEMPLATE."""
        system = "{{ .System }}".join(self.system)
        user, assistant = ("{{ .Content }}".join(around) for around in (self.user, self.assistant))
        opening = "{{ else }}" + self.opening if self.opening else ""
        parts = (
            *("{{ if .System }}", system, opening, "{{ end }}"),
            *('{{ range .Messages }}{{ if eq .Role "user" }}', user),
            *('{{ else if eq .Role "assistant" }}', assistant, "{{ end }}{{ end }}"),
            self.answer,
        )
        return "".join(parts)

    @property
    def stops(self) -> tuple[str, ...]:
        """The mark that ends an answer, when there is one."""
        mark = self.assistant[1].strip()
        return (mark,) if mark else ()


def derive(header: Header) -> Form | None:
    """The form of a model's chat template, or None when it has another one. Blocks for some tenths of a second."""
    if not header.template or "strftime_now" in header.template:  # a date would stand still
        return None
    turns = [("user", _FIRST), ("assistant", _SECOND), ("user", _THIRD)]
    asked = [
        _variables(header, [("system", _SYSTEM), *turns]),
        _variables(header, turns),
        _variables(header, turns, answer=False),
        _variables(header, [*turns, ("assistant", _FOURTH)], answer=False),
        *(_variables(header, check) for check in _CHECKS),
    ]
    renderings = render(header.template, asked)
    if any(rendering.fault for rendering in renderings):
        return None
    texts = [_without_begin(header, rendering.text) for rendering in renderings]
    form = _cut(*texts[:4])
    if form is None or any("{{" in text + "{" for text in _fixed(form)):
        return None
    same = all(form.prompt(turns) == text for turns, text in zip(_CHECKS, texts[4:], strict=True))
    return form if same else None


def _cut(with_system: str, plain: str, unanswered: str, answered: str) -> Form | None:
    """The pieces between the place holders; None when they are not where a form has them."""
    cuts = [_pieces(text) for text in (with_system, plain, unanswered, answered)]
    if [len(cut) for cut in cuts] != [5, 4, 4, 5]:
        return None
    (before_system, after_system, *_), (before_user, between, again, end), short, whole = cuts
    after_user, after_assistant = short[3], whole[4]
    if not (
        end.startswith(after_user)
        and between.startswith(after_user)
        and again.startswith(after_assistant)
    ):
        return None
    user = again.removeprefix(after_assistant)
    if not (before_user.endswith(user) and after_system.endswith(user)):
        return None
    return Form(
        opening=before_user[: len(before_user) - len(user)],
        system=(before_system, after_system[: len(after_system) - len(user)]),
        user=(user, after_user),
        assistant=(between.removeprefix(after_user), after_assistant),
        answer=end.removeprefix(after_user),
    )


def _pieces(text: str) -> list[str]:
    return re.split("|".join((_SYSTEM, _FIRST, _SECOND, _THIRD, _FOURTH)), text)


def _fixed(form: Form) -> tuple[str, ...]:
    return (form.opening, *form.system, *form.user, *form.assistant, form.answer)


def _variables(header: Header, turns: Sequence[Turn], *, answer: bool = True) -> Mapping[str, Any]:
    return {
        "messages": [{"role": role, "content": content} for role, content in turns],
        "add_generation_prompt": answer,
        "bos_token": header.begin_token,
        "eos_token": header.end_token,
        "tools": None,
    }


def _without_begin(header: Header, text: str) -> str:
    """Without the token that llama.cpp puts before every prompt."""
    return text.removeprefix(header.begin_token) if header.adds_begin_token else text
