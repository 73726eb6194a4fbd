"""Each form in which people have their data, and what of it becomes a row."""

import json
from pathlib import Path
from typing import Any

import pytest

from finetune.data.mapping import Wish
from finetune.data.rows import Chat, Conversation, Preference, Text
from tests.finetune.data.files import (
    ANSWER,
    CHAT,
    QUESTION,
    csv_of,
    jsonl_of,
    read_to_the_end,
    refused,
    rows_of,
)

WORSE = [{"role": "assistant", "content": "No idea."}]


@pytest.mark.parametrize(
    ("form", "row"),
    [
        ("messages", {"messages": CHAT}),
        ("prompt_completion", {"prompt": QUESTION, "completion": ANSWER}),
        ("prompt_completion", {"prompt": QUESTION, "response": ANSWER}),
        ("prompt_completion", {"prompt": CHAT[:1], "completion": CHAT[1:]}),
        ("alpaca", {"instruction": QUESTION, "input": "", "output": ANSWER}),
        ("alpaca", {"instruction": QUESTION, "context": None, "response": ANSWER}),
        (
            "sharegpt",
            {
                "conversations": [
                    {"from": "human", "value": QUESTION},
                    {"from": "gpt", "value": ANSWER},
                ]
            },
        ),
    ],
)
def test_a_question_and_its_answer_are_a_conversation_in_every_form(
    tmp_path: Path, form: str, row: dict[str, Any]
) -> None:
    path = jsonl_of(tmp_path, row)
    assert rows_of(path) == [Chat(1, CHAT)]
    assert read_to_the_end(path).describe()["form"] == form
    cells = [one if isinstance(one, str | None) else json.dumps(one) for one in row.values()]
    assert rows_of(csv_of(tmp_path, list(row), cells)) == [Chat(1, CHAT)]


def test_alpacas_input_stands_below_the_instruction(tmp_path: Path) -> None:
    path = csv_of(tmp_path, ["instruction", "input", "output"], ["Translate.", "Boot", "boat"])
    [row] = rows_of(path)
    assert isinstance(row, Chat)
    assert row.messages[0]["content"] == "Translate.\n\nBoot"


def test_text_parts_are_joined_and_others_refused(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}]
    path = jsonl_of(tmp_path, {"messages": [{"role": "user", "content": parts}, CHAT[1]]})
    [row] = rows_of(path)
    assert isinstance(row, Chat)
    assert row.messages[0]["content"] == "One.\nTwo."
    picture = [{"type": "image_url", "image_url": {"url": "https://a.test/b.png"}}]
    path = jsonl_of(tmp_path, {"messages": [{"role": "user", "content": picture}, CHAT[1]]})
    assert "'image_url': only text can be learned" in refused(path).detail


def test_tool_calls_tool_turns_and_tools_are_kept(tmp_path: Path) -> None:
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "berth_price", "arguments": '{"length": 9}'},
    }
    turns = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "37"},
        {"role": "assistant", "content": ANSWER, "tool_calls": None},
    ]
    tools = [{"type": "function", "function": {"name": "berth_price", "parameters": None}}]
    [row] = rows_of(jsonl_of(tmp_path, {"messages": turns, "tools": tools}))
    assert isinstance(row, Chat)
    assert row.messages[1] == {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {**call, "function": {"name": "berth_price", "arguments": {"length": 9}}},
        ],
    }
    assert row.messages[2] == {"role": "tool", "tool_call_id": "call_1", "content": "37"}
    assert row.messages[3] == {"role": "assistant", "content": ANSWER}
    assert row.tools == [{"type": "function", "function": {"name": "berth_price"}}]


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": QUESTION, "chosen": ANSWER, "rejected": "No idea."},
        {"prompt": CHAT[:1], "chosen": CHAT[1:], "rejected": WORSE},
        {"prompt": QUESTION, "chosen": CHAT, "rejected": [CHAT[0], *WORSE]},
        {"chosen": CHAT, "rejected": [CHAT[0], *WORSE]},
        {
            "input": {"messages": CHAT[:1], "tools": [], "parallel_tool_calls": True},
            "preferred_output": CHAT[1:],
            "non_preferred_output": WORSE,
        },
    ],
    ids=["texts", "turns", "prompt repeated", "prompt within", "OpenAI"],
)
def test_every_form_of_a_preference_is_one(tmp_path: Path, row: dict[str, Any]) -> None:
    preference = Preference(1, CHAT[:1], CHAT[1:], WORSE)
    assert rows_of(jsonl_of(tmp_path, row)) == [preference]
    cells = [one if isinstance(one, str) else json.dumps(one) for one in row.values()]
    assert rows_of(csv_of(tmp_path, list(row), cells)) == [preference]


def test_two_equal_answers_are_no_preference(tmp_path: Path) -> None:
    path = csv_of(tmp_path, ["prompt", "chosen", "rejected"], ["a", "b", "c"], ["d", "e", "e"])
    [error] = refused(path).rows
    assert (error.row, error.column, error.reason) == (2, "rejected", "Both answers are the same.")


def test_an_answer_that_is_json_stays_the_text_it_is(tmp_path: Path) -> None:
    answer = '[{"name": "Brasko", "kind": "coffee"}]'
    [row] = rows_of(csv_of(tmp_path, ["prompt", "completion"], ["Which?", answer]))
    assert isinstance(row, Chat)
    assert row.messages[1]["content"] == answer


def test_texts_come_through_unchanged(tmp_path: Path) -> None:
    text = ' two\r\nlines, "quoted"; \u2028 {braces} 🐝 '
    assert rows_of(csv_of(tmp_path, ["text"], [text])) == [Text(1, text)]
    assert rows_of(jsonl_of(tmp_path, {"text": text, "url": "x"})) == [Text(1, text)]


def test_a_template_makes_texts_of_any_columns(tmp_path: Path) -> None:
    path = csv_of(tmp_path, ["question", "answer", "id"], ["Why?", "{So}", "7"], ["How?", "", "8"])
    wish = Wish(template="Q: {question}\n{{A}}: {Answer}")
    assert rows_of(path, wish) == [Text(1, "Q: Why?\n{A}: {So}"), Text(2, "Q: How?\n{A}: ")]
    assert read_to_the_end(path, wish).describe()["ignored_columns"] == ["id"]
    assert "'price', which the file does not have" in refused(path, Wish(template="{price}")).detail


def test_a_system_message_is_for_every_conversation_without_one(tmp_path: Path) -> None:
    own = [{"role": "system", "content": "Be short."}, *CHAT]
    path = jsonl_of(tmp_path, {"messages": CHAT}, {"messages": own})
    asked: Conversation = [{"role": "system", "content": "Be kind."}, *CHAT]
    assert rows_of(path, Wish(system="Be kind.")) == [Chat(1, asked), Chat(2, own)]
    assert "for conversations" in refused(jsonl_of(tmp_path, {"text": "a"}), Wish(system="b")).detail


def test_a_column_of_system_messages_is_taken(tmp_path: Path) -> None:
    names = ["system", "instruction", "output"]
    path = csv_of(tmp_path, names, ["Be kind.", QUESTION, ANSWER], ["", QUESTION, ANSWER])
    kind: Conversation = [{"role": "system", "content": "Be kind."}, *CHAT]
    assert rows_of(path) == [Chat(1, kind), Chat(2, CHAT)]


def test_a_fold_column_says_what_a_row_is_for(tmp_path: Path) -> None:
    names = ["prompt", "completion", "fold"]
    said = ["train", "valid", "TEST", "validation", "train"]
    path = csv_of(tmp_path, names, *([QUESTION, ANSWER, fold] for fold in said))
    assert read_to_the_end(path).counts == {"train": 2, "eval": 2, "test": 1}
    path = csv_of(tmp_path, names, [QUESTION, ANSWER, "train"], [QUESTION, ANSWER, "later"])
    [error] = refused(path).rows
    assert (error.row, error.column, error.expected) == (2, "fold", "train, valid or test")


def test_columns_with_other_names_are_what_the_caller_says(tmp_path: Path) -> None:
    path = csv_of(tmp_path, ["Question", "answer", "split"], [QUESTION, ANSWER, "train"])
    wish = Wish({"question": "prompt", "answer": "completion", "split": "fold"})
    assert rows_of(path, wish) == [Chat(1, CHAT)]
    assert read_to_the_end(path, wish).describe()["columns"] == {
        "prompt": "Question",
        "completion": "answer",
        "fold": "split",
    }
    assert "does not have" in refused(path, Wish({"price": "prompt"})).detail


def test_of_several_forms_the_one_is_taken_that_the_method_learns_from(tmp_path: Path) -> None:
    worse = [CHAT[0], *WORSE]
    path = jsonl_of(
        tmp_path, {"prompt": QUESTION, "messages": CHAT, "chosen": CHAT, "rejected": worse}
    )
    assert rows_of(path, kind="chat") == [Chat(1, CHAT)]
    assert rows_of(path, kind="preference") == [Preference(1, CHAT[:1], CHAT[1:], WORSE)]
    assert rows_of(path, Wish({"messages": "messages"})) == [Chat(1, CHAT)]
