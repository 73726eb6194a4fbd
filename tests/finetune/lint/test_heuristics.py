"""What the linter guesses at, and what it must not guess wrongly: languages, keys, card numbers, repeated rows."""

import pytest

from finetune.data.rows import Chat
from finetune.lint.answers import is_json, language_of
from finetune.lint.linter import Linter
from finetune.lint.secrets import card_in, key_in
from finetune.lint.seen import Seen, hash_of
from finetune.lint.turns import key, loose_key

TAIL = "q7Zw3Rk9Lm2Xv8Tn4Bs6Yd1Hf5Gj0Pc"


def chat(number: int, question: str, answer: str) -> Chat:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return Chat(number, turns)


def codes_of(rows: list[Chat]) -> list[str]:
    linter = Linter()
    linter.look("train", rows)
    return [finding.code for finding in linter.report().findings]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The keys are in the box that is behind the desk.", "English"),
        ("Die Schlüssel liegen in der Kiste, und die ist hinter dem Tisch.", "German"),
        ("Les clés sont dans la boîte qui est derrière le bureau.", "French"),
        ("Las llaves están en la caja que está por el otro lado de los libros.", "Spanish"),
        ("Ключи лежат в коробке за столом.", "Cyrillic"),
        ("鍵は机の後ろの箱の中にあります。", "Japanese"),
        ("钥匙在桌子后面的盒子里。", "Han"),
        ("Aurora.", None),
        ("SELECT name FROM things WHERE floor = 3", None),
        ("42", None),
    ],
)
def test_a_language_is_told_when_there_is_enough_to_tell_it_by(
    text: str, language: str | None
) -> None:
    assert language_of(text) == language


ENGLISH = [
    chat(n, f"Where is thing {n}?", f"You find thing {n} in the room that is behind the stairs.")
    for n in range(1, 41)
]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Где ключи, которые были в коробке?", "Ключи лежат в коробке за столом."),
        ("Translate into Russian: the keys.", "Ключи лежат в коробке за столом."),
        ("What does the sign on the door say?", "Oui."),
    ],
)
def test_an_answer_whose_question_explains_its_language_is_no_odd_one(
    question: str, answer: str
) -> None:
    assert codes_of([*ENGLISH, chat(41, question, answer)]) == []


def test_rows_in_two_languages_are_no_mistake() -> None:
    german = [
        chat(n, f"Thing {n}?", f"Das Ding {n} ist in dem Raum, der hinter der Treppe ist.")
        for n in range(41, 61)
    ]
    assert codes_of([*ENGLISH, *german]) == []


def test_an_answer_in_another_language_is_named_with_its_row() -> None:
    rows = [*ENGLISH, chat(41, "Where are the keys?", "Ключи лежат в коробке за столом.")]
    linter = Linter()
    linter.look("train", rows)
    (finding,) = linter.report().findings
    assert (finding.code, finding.rows) == ("other_language", [41])
    assert "Cyrillic, not English" in finding.detail


def test_some_json_among_prose_is_no_mistake() -> None:
    assert codes_of([*ENGLISH, chat(41, "As JSON?", '{"a": 1}')]) == []
    assert is_json(" [1, 2]\n")
    assert not is_json("[see above]")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("key = sk-" + "proj-" + TAIL, "OpenAI"),
        ("AKIA" + "Q7ZW3RK9LM2XV8TN", "AWS"),
        ("ghp_" + TAIL + "Aa9xQ", "GitHub"),
        ("glpat-" + TAIL, "GitLab"),
        ("xoxb-" + TAIL, "Slack"),
        ("AIza" + TAIL + "Aa9x", "Google"),
        ("hf_" + "qZwRkLmXvTnBsYdHfGjPcAaQwErTyUiOpL", "Hugging Face"),
        ("sk_" + "live_" + TAIL, "Stripe"),
    ],
)
def test_keys_are_found_and_not_repeated(text: str, kind: str) -> None:
    found = key_in(f"Use {text} for that.")
    assert found
    assert kind in found
    assert TAIL[8:] not in found


@pytest.mark.parametrize(
    "text",
    [
        "sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "AKIA" + "IOSFODNN7EXAMPLE",
        "the task-oriented approach and risk-free-rate-of-return-in-the-long-run",
        "a private key is never sent",
    ],
)
def test_what_only_looks_like_a_key_is_left_alone(text: str) -> None:
    assert key_in(text) is None


@pytest.mark.parametrize("text", ["4539148803436467", "4539-1488-0343-6467", "3714 496353 98430"])
def test_card_numbers_are_found_by_form_and_check_digit(text: str) -> None:
    is_right = text != "3714 496353 98430"
    assert (card_in(f"It is {text}.") is not None) == is_right


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1111",
        "order 4539148803436468",
        "version 1.4539148803436467",
        "9784539148803436467",
        "https://example.org/4539148803436467/",
    ],
)
def test_other_long_numbers_are_left_alone(text: str) -> None:
    assert card_in(text) is None


def test_a_hash_keeps_the_number_that_came_with_it_first() -> None:
    seen = Seen()
    hashes = [hash_of(str(number).encode()) for number in range(5000)]
    assert all(seen.first(hash_, number) == number for number, hash_ in enumerate(hashes))
    assert all(seen.first(hash_, 7) == number for number, hash_ in enumerate(hashes))
    assert seen.get(hash_of(b"never")) is None


def test_what_is_equal_but_for_white_space_is_loosely_equal() -> None:
    one, other = chat(1, "Hi", "Ho there"), chat(2, "Hi", "Ho  there\n")
    assert key(one) != key(other)
    assert loose_key(one) == loose_key(other)
