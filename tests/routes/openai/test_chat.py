"""chat.completions as the stock SDK asks for it."""

import base64
import json

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from api.errors import BackEndFailed
from tests.fakes import BreaksOff
from tests.service import Service
from tests.tiny_vision import png

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello there"}]


def test_an_answer_is_a_chat_completion(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.create(model="demo", messages=HELLO)
    [choice] = answer.choices
    assert (choice.message.content, choice.finish_reason) == ("Hello there", "stop")
    assert answer.usage
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_stream_gives_the_same_and_its_usage_last(sdk: openai.OpenAI) -> None:
    stream = sdk.chat.completions.create(
        model="demo", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "Hello there"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert (chunks[-1].choices, chunks[-1].usage is not None) == ([], True)
    assert len({chunk.id for chunk in chunks}) == 1


def test_frames_are_data_alone_and_end_with_done(service: Service) -> None:
    body = {"model": "demo", "messages": HELLO, "stream": True}
    text = service.client.post("/v1/chat/completions", json=body).text
    *frames, done, rest = text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    assert all(frame.startswith("data: {") and "\n" not in frame for frame in frames)
    assert not any("usage" in json.loads(frame[6:]) for frame in frames)


def test_a_stream_that_fails_raises_its_message(service: Service, sdk: openai.OpenAI) -> None:
    service.runtime.will_answer(BreaksOff("half an", BackEndFailed("The model is gone.")))
    stream = sdk.chat.completions.create(model="demo", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError, match="The model is gone"):
        list(stream)


def test_the_options_reach_the_model(service: Service, sdk: openai.OpenAI) -> None:
    sdk.chat.completions.create(
        model="demo",
        messages=HELLO,
        temperature=0.5,
        top_p=0.9,
        max_tokens=7,
        max_completion_tokens=9,
        stop="END",
        seed=4,
        extra_body={"top_k": 3, "min_p": 0.1},
    )
    options = service.runtime.history[-1].options
    assert (options.temperature, options.top_p, options.max_tokens) == (0.5, 0.9, 9)
    assert (options.stop, options.seed, options.top_k, options.min_p) == (("END",), 4, 3, 0.1)


def test_several_answers_are_choices_whose_tokens_count_together(
    service: Service, sdk: openai.OpenAI
) -> None:
    one = sdk.chat.completions.create(model="demo", messages=HELLO).usage
    service.runtime.will_answer("first", "second", "third")
    answer = sdk.chat.completions.create(model="demo", messages=HELLO, n=3, seed=7)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert {choice.message.content for choice in answer.choices} == {"first", "second", "third"}
    assert one
    assert answer.usage
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (one.prompt_tokens, 3)
    assert {call.options.seed for call in service.runtime.history[-3:]} == {7, 8, 9}


def test_several_streams_are_told_apart_by_their_index(
    service: Service, sdk: openai.OpenAI
) -> None:
    service.runtime.will_answer("a b c", "d e f")
    stream = sdk.chat.completions.create(
        model="demo", messages=HELLO, n=2, stream=True, stream_options={"include_usage": True}
    )
    texts, ended = {0: "", 1: ""}, []
    for chunk in stream:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            ended += [choice.index] if choice.finish_reason else []
    assert set(texts.values()) == {"a b c", "d e f"}
    assert sorted(ended) == [0, 1]
    assert chunk.usage
    assert chunk.usage.completion_tokens == 6


def test_of_several_streams_one_that_fails_ends_all(service: Service, sdk: openai.OpenAI) -> None:
    service.runtime.will_answer("a b c", BreaksOff("d", BackEndFailed("The model is gone.")))
    stream = sdk.chat.completions.create(model="demo", messages=HELLO, n=2, stream=True)
    with pytest.raises(openai.APIError, match="The model is gone"):
        list(stream)
    assert service.runtime.open_streams == 0


def test_of_several_answers_one_that_fails_refuses_all(
    service: Service, sdk: openai.OpenAI
) -> None:
    service.runtime.will_answer("a", BackEndFailed("The model is gone."))
    with pytest.raises(openai.InternalServerError, match="The model is gone"):
        sdk.chat.completions.create(model="demo", messages=HELLO, n=2)


def test_a_model_that_sees_gets_the_image(service: Service, sdk: openai.OpenAI) -> None:
    service.runtime.gives_sight("demo")
    url = f"data:image/png;base64,{base64.b64encode(png()).decode()}"
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "What?"}]
    turns = [{"role": "user", "content": parts}]
    assert sdk.chat.completions.create(model="demo", messages=turns).choices  # type: ignore[arg-type]
    assert service.runtime.history[-1].messages[-1].images == (png(),)
    parts[0] = {"type": "image_url", "image_url": {"url": "http://127.0.0.1/x.png"}}
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(model="demo", messages=turns)  # type: ignore[arg-type]
    assert caught.value.param == "messages.0.content.0.image_url.url"


def test_a_developer_speaks_as_the_system(service: Service, sdk: openai.OpenAI) -> None:
    parts = [{"type": "text", "text": "Be brief."}]
    turns = [{"role": "developer", "content": parts}, *HELLO]
    sdk.chat.completions.create(model="demo", messages=turns)  # type: ignore[arg-type]
    assert [m.role for m in service.runtime.history[-1].messages] == ["system", "user"]


@pytest.mark.parametrize(
    ("member", "value", "param"),
    [
        ("temperature", 3, "temperature"),
        ("messages", [], "messages"),
        ("messages", [{"role": "robot", "content": "x"}], "messages.0.role"),
        ("messages", [{"role": "user"}], "messages.0.content"),
        ("max_tokens", 0, "max_tokens"),
        ("model", 7, "model"),
        (
            "messages",
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}],
            "messages.0.content.0.type",
        ),
        (
            "messages",
            [*HELLO, {"role": "tool", "content": "4", "tool_call_id": "made-up"}],
            "messages.1.tool_call_id",
        ),
        ("functions", [{"name": "f"}], "functions"),
        ("function_call", "auto", "function_call"),
        ("modalities", ["text", "audio"], "modalities"),
        ("reasoning_effort", "much", "reasoning_effort"),
        ("n", 9, "n"),
        ("stop", [7], "stop.0"),
        ("tool_choice", "now", "tool_choice"),
        ("tools", [{"type": "function", "function": {}}], "tools.0.function.name"),
        ("logit_bias", {"word": 1}, "logit_bias.word"),
        ("response_format", {"type": "xml"}, "response_format"),
        ("tools", [{"type": "custom", "custom": {"name": "x"}}], "tools.0.type"),
    ],
)
def test_what_cannot_be_honoured_is_named(
    service: Service, member: str, value: object, param: str
) -> None:
    body = {"model": "demo", "messages": HELLO, member: value}
    answer = service.client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["param"]) == ("invalid_request_error", param)


def test_an_unknown_member_and_a_null_are_as_left_out(sdk: openai.OpenAI) -> None:
    unknown = {
        "some_new_thing": {"a": 1},
        "top_k": None,
        "store": True,
        "modalities": ["text"],
        "stream_options": {"include_usage": True},
    }
    answer = sdk.chat.completions.create(model="demo", messages=HELLO, extra_body=unknown)
    assert answer.choices[0].message.content == "Hello there"


def test_an_answer_from_documents_has_its_citations(service: Service, sdk: openai.OpenAI) -> None:
    text = "Orlo is a light that lasts three years."
    files = {"file": ("orlo.txt", text, "text/plain")}
    service.client.post("/importDocument?modelName=demo", files=files).raise_for_status()
    service.runtime.will_answer(f"{text} [1]")
    answer = sdk.chat.completions.create(
        model="demo",
        messages=[{"role": "user", "content": "How long does Orlo last?"}],
        extra_body={"documents": ["*"]},
    )
    message = answer.choices[0].message.model_dump()
    assert {one["document"] for one in message["citations"]} == {"orlo.txt"}
    assert message["receipt"]["model"] == "demo"


def test_a_persona_answers_from_its_collection(service: Service, sdk: openai.OpenAI) -> None:
    """So do clients that know only a model's name."""
    client = service.client
    made = client.post("/collections", json={"name": "handbook"}).json()
    text = "Orlo is a light that lasts three years."
    files = {"file": ("orlo.txt", text, "text/plain")}
    client.post("/importDocument?collection=handbook", files=files).raise_for_status()
    persona = {"collection": "handbook"}
    client.post("/createModel/ada", json=persona).raise_for_status()
    assert client.get("/show_model/ada").json()["collection"] == made["id"]
    asked: list[ChatCompletionMessageParam] = [
        {"role": "user", "content": "How long does Orlo last?"}
    ]
    service.runtime.will_answer(f"{text} [1]")
    message = sdk.chat.completions.create(model="ada", messages=asked).choices[0].message
    assert {one["document"] for one in message.model_dump()["citations"]} == {"orlo.txt"}
    plain = sdk.chat.completions.create(model="ada", messages=asked, extra_body={"documents": []})
    assert plain.choices[0].message.content == "How long does Orlo last?"
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(model="ada", messages=asked, n=2)
    assert caught.value.param == "n"
    client.delete("/collections/handbook").raise_for_status()
    with pytest.raises(openai.ConflictError, match="Create the model again"):
        sdk.chat.completions.create(model="ada", messages=asked)
    client.post("/createModel/ada", json={"replace": True}).raise_for_status()
    assert "collection" not in client.get("/show_model/ada").json()


def test_a_persona_is_bound_to_no_collection_that_is_none(service: Service) -> None:
    answer = service.client.post("/createModel/ada", json={"collection": "nothing"})
    assert answer.status_code == 404
    assert service.client.get("/show_model/ada").status_code == 404
