"""A chat template is tried in a sandbox before llama.cpp is given it."""

import pytest

from api.runtime.templates import MAX_TEMPLATE_CHARACTERS, check_template

LOOP = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
SOUND = {
    "plain": LOOP,
    "generation": "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}",
    "refuses_a_system_turn": (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + LOOP
    ),
    "tells_the_date": "{{ strftime_now('%d %b %Y') }}" + LOOP,
    "breaks_a_loop": "{% for m in messages %}{{ m.content }}{% if loop.last %}{% break %}{% endif %}{% endfor %}",
    "writes_json": "{{ messages[-1] | tojson(indent=2) }}",
}
UNSOUND = {
    "does_not_parse": ("{% for m in %}", "parse"),
    "unknown_name": ("{{ nothing.at.all }}", "render"),
    "leaves_the_user_out": ("hello", "what the user says"),
    "reaches_into_python": ("{{ ''.__class__.__mro__ }}" + LOOP, "unsafe"),
    "changes_the_messages": ("{{ messages.append(1) }}" + LOOP, "render"),
    "takes_all_memory": ("{{ 'a' * 10 ** 10 }}" + LOOP, "render"),
    "writes_too_much": ("{{ 'a' * 2000000 }}" + LOOP, "writes"),
    "too_long": (LOOP + "x" * MAX_TEMPLATE_CHARACTERS, "characters"),
}


@pytest.mark.parametrize("kind", SOUND)
def test_a_sound_template_is_taken(kind: str) -> None:
    assert check_template(SOUND[kind]) is None


@pytest.mark.parametrize("kind", UNSOUND)
def test_an_unsound_template_is_refused_with_a_reason(kind: str) -> None:
    template, reason = UNSOUND[kind]
    assert reason in (check_template(template) or "")


def test_a_template_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    endless = "{% for a in range(99999) %}" * 3 + "{% endfor %}" * 3
    assert "too long" in (check_template(endless, seconds=1) or "")
