"""How the double answers: streams, options, formats, what does not fit, vectors."""

import json
import math
from typing import Any

import pytest

from tests.ollama_double.asking import ALTERNATING, JSON, LONG, WORDS, Server, until
from tests.ollama_double.rows import HI, PICTURE, SHORT, TOOL

pytestmark = pytest.mark.real


@pytest.mark.parametrize("model", ["demo", "turns"])
def test_a_stream_has_a_line_for_each_piece_and_the_counts_in_its_last(
    server: Server, model: str
) -> None:
    lines = server.lines("/api/chat", model=model, messages=HI, options=SHORT)
    *pieces, last = lines
    assert all(set(line) == {"model", "created_at", "message", "done"} for line in pieces)
    assert all(line["message"]["role"] == "assistant" for line in lines)
    assert last["message"]["content"] == ""
    assert (last["done"], last["done_reason"], last["eval_count"]) == (True, "length", 3)
    assert last["prompt_eval_count"] > 5
    assert last["total_duration"] > last["load_duration"] >= 0
    whole = server.chat(model)
    assert whole["message"]["content"] == "".join(line["message"]["content"] for line in pieces)


def test_both_templates_make_the_same_prompt(server: Server) -> None:
    turns = [{"role": "system", "content": "Be kind."}, *HI]
    counts = {
        server.chat(model, messages=turns)["prompt_eval_count"] for model in ("demo", "turns")
    }
    assert len(counts) == 1


def test_generate_gives_a_context_unless_it_is_raw(server: Server) -> None:
    for model in ("demo", "turns"):
        answer = server.generate(model)
        assert answer["response"]
        assert len(answer["context"]) == answer["prompt_eval_count"] + answer["eval_count"]
    raw = server.generate(raw=True)
    assert "context" not in raw
    assert raw["prompt_eval_count"] < answer["prompt_eval_count"]


def test_counts_hold_what_came_from_the_cache(server: Server) -> None:
    first, second = server.chat(), server.chat()
    assert first["prompt_eval_count"] == second["prompt_eval_count"]


def test_nothing_to_say_loads_and_unloads(server: Server) -> None:
    assert server.generate(prompt="", keep_alive="10m")["done_reason"] == "load"
    answer = server.http.post("/api/chat", json={"model": "demo"})
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["done_reason"] == "load"
    assert server.loaded()["demo:latest"]["context_length"] == 4096
    assert server.chat(messages=[], keep_alive=0)["done_reason"] == "unload"
    assert "demo:latest" not in server.loaded()


def test_keep_alive_may_be_a_duration_a_number_or_for_ever(server: Server) -> None:
    years = []
    for keep in ("10m", 60, -1):
        assert server.generate(prompt="", keep_alive=keep)["status"] == 200
        years.append(int(server.loaded()["demo:latest"]["expires_at"][:4]))
    assert years[0] == years[1] < years[2] - 290


def test_unloading_lets_a_stream_end(server: Server) -> None:
    body = {
        "model": "demo",
        "messages": HI,
        "format": WORDS,
        "options": {**SHORT, "num_predict": 300},
    }
    with server.http.stream("POST", "/api/chat", json=body) as answer:
        lines = answer.iter_lines()
        assert next(lines)
        assert server.generate(prompt="", keep_alive=0)["done_reason"] == "unload"
        *_, last = lines
    assert json.loads(last)["done_reason"] == "length"
    until(lambda: "demo:latest" not in server.loaded())


def test_deleting_a_loaded_model_lets_it_finish(server: Server) -> None:
    server.create("doomed", "demo", template="{{ .Prompt }}")
    body = {
        "model": "doomed",
        "prompt": "Hi",
        "options": {**SHORT, "num_predict": 50},
        "format": ALTERNATING,
    }
    with server.http.stream("POST", "/api/generate", json=body) as answer:
        lines = answer.iter_lines()
        assert next(lines)
        assert (
            server.http.request("DELETE", "/api/delete", json={"model": "doomed"}).status_code
            == 200
        )
        *_, last = lines
    assert json.loads(last)["done"] is True
    assert "doomed:latest" in server.loaded()
    assert "doomed:latest" not in server.names()


def test_unknown_options_are_ignored_and_fractions_cut(server: Server) -> None:
    options = {"nonsense": "x", "num_predict": 3.7, "temperature": -1, "top_p": 5}
    assert server.chat(options=options)["eval_count"] == 3


def test_the_context_has_a_least_and_a_most_and_another_one_loads_anew(server: Server) -> None:
    sizes = []
    for size in (2, 10_000_000, 512):
        server.generate(prompt="", options={"num_ctx": size})
        sizes.append(server.loaded()["demo:latest"]["context_length"])
    assert sizes == [4, 4096, 512]


def test_a_picture_for_a_text_model_is_an_error_within_an_error(server: Server) -> None:
    seen = [{"role": "user", "content": "What?", "images": [PICTURE]}]
    for answer, status in (
        (server.chat(messages=seen), 500),
        (server.generate(images=[PICTURE]), 400),
    ):
        assert answer["status"] == status
        inner = json.loads(answer["error"])["error"]
        assert inner["message"].startswith("image input is not supported - hint:")


def test_a_model_with_its_own_template_takes_tools_it_does_not_know(server: Server) -> None:
    assert "tools" not in server.ask("/api/show", model="demo")["capabilities"]
    assert server.chat(tools=[TOOL])["status"] == 200


@pytest.mark.parametrize("model", ["demo", "turns"])
def test_a_schema_is_enforced(server: Server, model: str) -> None:
    schema = {"type": "string", "pattern": "^b(an){2}a$"}
    answer = server.chat(model, format=schema, options={**SHORT, "num_predict": 60})
    assert json.loads(answer["message"]["content"]) == "banana"
    assert server.chat(model, format="")["status"] == 200


@pytest.mark.parametrize("model", ["demo", "turns"])
def test_a_bad_schema_is_an_error_within_an_error(server: Server, model: str) -> None:
    bad = {
        "Unrecognized schema": {"type": "nonsense"},
        "Error resolving ref #/nope": {"$ref": "#/nope"},
        "Pattern must start with": {"type": "string", "pattern": "abc"},
    }
    for told, schema in bad.items():
        answer = server.chat(model, format={"type": "array", "items": schema})
        inner = json.loads(answer["error"])["error"]
        assert answer["status"] == inner["code"] == 400
        assert inner["message"].startswith(f"JSON schema conversion failed:\n{told}")


def test_json_is_enforced_on_rendered_prompts_alone(server: Server) -> None:
    few = {**SHORT, "num_predict": 5}
    for model, is_enforced in (("turns", True), ("demo", False)):
        said = server.chat(model, format="json", options=few)["message"]["content"]
        assert said.startswith("{") is is_enforced


def test_probabilities_come_with_each_line(server: Server) -> None:
    for model in ("demo", "turns"):
        lines = server.lines(
            "/api/chat", model=model, messages=HI, options=SHORT, logprobs=True, top_logprobs=2
        )
        first = lines[0]["logprobs"][0]
        assert set(first) == {"token", "logprob", "bytes", "top_logprobs"}
        assert len(first["top_logprobs"]) == 2
        assert "top_logprobs" not in server.chat(model, logprobs=True)["logprobs"][0]


def test_more_than_thirty_equal_pieces_end_an_answer_without_a_word(server: Server) -> None:
    body = {
        "format": {"type": "string", "pattern": "^a{300}$"},
        "options": {**SHORT, "num_predict": 400},
    }
    *_, last = server.lines("/api/chat", model="turns", messages=HI, **body)
    assert last["done"] is False
    assert "done_reason" not in last
    whole = server.chat("turns", **body)
    assert (whole["status"], whole["done"]) == (200, False)
    assert "eval_count" not in whole


def test_an_unknown_role_is_taken(server: Server) -> None:
    assert server.chat(messages=[{"role": "nobody", "content": "Hi"}])["status"] == 200


def _overflow(answer: JSON) -> tuple[Any, ...]:
    inner = json.loads(answer["error"])["error"]
    return answer["status"], inner["type"], inner["n_ctx"], inner["n_prompt_tokens"] > 900


@pytest.mark.parametrize("more", [{}, {"truncate": False}, {"shift": False}], ids=str)
def test_one_message_too_long_for_jinja_is_refused(server: Server, more: JSON) -> None:
    long = [{"role": "user", "content": LONG}]
    answer = server.chat(messages=long, options={**SHORT, "num_ctx": 128}, **more)
    assert _overflow(answer) == (400, "exceed_context_size_error", 256, True)


def test_one_message_too_long_for_a_rendered_prompt_is_cut_silently(server: Server) -> None:
    long, small = [{"role": "user", "content": LONG}], {**SHORT, "num_ctx": 128}
    cut = server.chat("turns", messages=long, options=small)
    assert (cut["status"], cut["prompt_eval_count"]) == (200, 66)
    refusal = server.chat("turns", messages=long, options=small, truncate=False)
    assert _overflow(refusal) == (400, "exceed_context_size_error", 256, True)


def test_generate_cuts_silently_and_returns_a_huge_context(server: Server) -> None:
    small = {**SHORT, "num_ctx": 128}
    cut = server.generate(prompt=LONG, options=small)
    assert (cut["status"], cut["prompt_eval_count"]) == (200, 66)
    assert len(cut["context"]) > 900
    refusal = server.generate(prompt=LONG, options=small, truncate=False)
    assert _overflow(refusal) == (400, "exceed_context_size_error", 256, True)


def test_the_oldest_of_many_messages_are_dropped(server: Server) -> None:
    many = [{"role": role, "content": "word " * 20} for role in ("user", "assistant")] * 10 + HI
    for model in ("demo", "turns"):
        answer = server.chat(model, messages=many, options={**SHORT, "num_ctx": 128})
        assert answer["status"] == 200
        assert answer["prompt_eval_count"] <= 128


def test_an_answer_goes_on_past_the_context_unless_it_may_not_shift(server: Server) -> None:
    body: JSON = {"format": WORDS, "options": {**SHORT, "num_ctx": 256, "num_predict": 400}}
    assert server.chat(**body)["eval_count"] == 400
    stopped = server.chat(**body, shift=False)
    assert stopped["done_reason"] == "length"
    assert stopped["eval_count"] < 256


def test_vectors_are_normalised_and_may_be_shortened(server: Server) -> None:
    made = server.ask("/api/embed", model="embedder", input=["one", ""])
    assert {"total_duration", "load_duration", "prompt_eval_count"} < set(made)
    assert [len(vector) for vector in made["embeddings"]] == [384, 384]
    assert all(math.isclose(math.hypot(*vector), 1, abs_tol=1e-5) for vector in made["embeddings"])
    (short,) = server.ask("/api/embed", model="embedder", input="one", dimensions=10)["embeddings"]
    assert len(short) == 10
    assert math.isclose(math.hypot(*short), 1, abs_tol=1e-5)


@pytest.mark.parametrize("body", [{"input": ""}, {"input": []}, {}], ids=str)
def test_no_text_has_no_vectors(server: Server, body: JSON) -> None:
    assert server.ask("/api/embed", model="embedder", **body)["embeddings"] == []


def test_a_long_text_is_cut_silently(server: Server) -> None:
    made = server.ask("/api/embed", model="embedder", input="word " * 600)
    assert (made["status"], made["prompt_eval_count"]) == (200, 512)
