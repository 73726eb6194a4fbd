"""PATCH /models/{name}: what a model answers with where a request does not say, at every door."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.doctor import _models
from api.models.changing import Change
from api.runtime import ExistingModel, GGUFFile, Options, Persona
from api.settings import Settings
from tests.databases import open_migrated
from tests.fakes import FakeRuntime
from tests.rag.conftest import HANDBOOK, Library
from tests.routes.test_generate import open_over
from tests.service import Service, open_service, serving

WARRANTY = "What is the warranty of the Vanta heater?"
TEMPLATE = "Be {tone}. {{Braces}} stay.\n{context}\nQ: {input}"
QUESTION = "What does a parking pass cost?"


@pytest.fixture(scope="module")
def open_one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with open_service(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture
def service(open_one: Service) -> Service:
    """One for all tests, with the model `demo` alone, which has no defaults."""
    for name in open_one.client.get("/list_models").json()["All Created Models"]:
        if name != "demo":
            open_one.client.delete(f"/deleteModel/{name}")
    nothing = {"options": {}, "stop_token_ids": [], "prompt_template": ""}
    assert open_one.client.patch("/models/demo", json=nothing).status_code == 200
    return open_one


@pytest.fixture
def client(service: Service) -> TestClient:
    return service.client


def patched(client: TestClient, name: str = "demo", **fields: Any) -> dict[str, Any]:
    """What a change answers."""
    response = client.patch(f"/models/{name}", json=fields)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def problem(client: TestClient, name: str = "demo", **fields: Any) -> tuple[int, str]:
    """How a change is refused."""
    response = client.patch(f"/models/{name}", json=fields)
    return response.status_code, response.text


def test_a_field_that_is_given_replaces_one_left_out_stays_and_an_empty_one_goes(
    client: TestClient,
) -> None:
    first = patched(
        client,
        options={"temperature": 0.2, "max_tokens": 7},
        stop_token_ids=[2, 5],
        prompt_template=TEMPLATE,
        variables={"tone": "kind"},
    )
    assert first["parameters"] == {"temperature": 0.2, "max_tokens": 7, "stop_token_ids": [2, 5]}
    assert (first["prompt_template"], first["variables"]) == (TEMPLATE, {"tone": "kind"})
    second = patched(client, options={"top_k": 3})
    assert second["parameters"] == {"top_k": 3, "stop_token_ids": [2, 5]}
    assert second["prompt_template"] == TEMPLATE
    assert client.get("/show_model/demo").json() == second
    third = patched(client, options={}, stop_token_ids=[], prompt_template="")
    assert third["parameters"] == {}
    assert not {"prompt_template", "variables"} & third.keys()


def generate(client: TestClient, **more: Any) -> Any:
    return client.post("/generate", json={"modelName": "demo", "user_prompt": QUESTION, **more})


def chat(client: TestClient, **more: Any) -> Any:
    turns = [{"role": "user", "content": QUESTION}]
    return client.post("/v1/chat/completions", json={"model": "demo", "messages": turns, **more})


def respond(client: TestClient, **more: Any) -> Any:
    return client.post("/v1/responses", json={"model": "demo", "input": QUESTION, **more})


def message(client: TestClient, **more: Any) -> Any:
    turns = [{"role": "user", "content": QUESTION}]
    body = {"model": "demo", "messages": turns, "max_tokens": 50, **more}
    return client.post("/v1/messages", json=body)


def complete(client: TestClient, **more: Any) -> Any:
    return client.post("/complete", json={"model": "demo", "prompt": QUESTION, **more})


def go_on(client: TestClient, **more: Any) -> Any:
    return client.post("/v1/completions", json={"model": "demo", "prompt": QUESTION, **more})


@pytest.mark.parametrize("ask", [generate, chat, respond, message, complete, go_on])
def test_every_door_answers_with_them_and_a_request_has_its_way(
    service: Service, client: TestClient, ask: Callable[..., Any]
) -> None:
    usual = {"temperature": 0.25, "top_p": 0.5, "max_tokens": 7}
    patched(client, options=usual, stop_token_ids=[9])
    assert ask(client).status_code == 200
    chosen = service.runtime.history[-1].options
    assert chosen.max_tokens == (50 if ask is message else 7)  # which always says it
    assert (chosen.temperature, chosen.top_p, chosen.stop_token_ids) == (0.25, 0.5, (9,))
    assert ask(client, temperature=0.75).status_code == 200
    chosen = service.runtime.history[-1].options
    assert (chosen.temperature, chosen.top_p) == (0.75, 0.5)


@pytest.mark.parametrize("ask", [generate, chat, respond, message])
def test_the_question_stands_in_the_words_of_the_template(
    service: Service, client: TestClient, ask: Callable[..., Any]
) -> None:
    counted = {"model": "demo", "messages": [{"role": "user", "content": QUESTION}]}
    bare = client.post("/v1/messages/count_tokens", json=counted).json()["input_tokens"]
    patched(client, prompt_template=TEMPLATE, variables={"tone": "kind"})
    full = client.post("/v1/messages/count_tokens", json=counted).json()["input_tokens"]
    assert full == bare + len(TEMPLATE.split()) - 2  # {context} is nothing, {input} the question
    assert ask(client).status_code == 200
    said = service.runtime.history[-1].messages[-1].content
    assert said == f"Be kind. {{Braces}} stay.\n\nQ: {QUESTION}"


@pytest.mark.parametrize("ask", [complete, go_on])
def test_a_raw_text_stays_as_it_is(
    service: Service, client: TestClient, ask: Callable[..., Any]
) -> None:
    patched(client, prompt_template=TEMPLATE, variables={"tone": "kind"})
    assert ask(client).status_code == 200
    assert service.runtime.history[-1].messages[-1].content == QUESTION


def test_variables_of_a_request_win_and_one_that_is_missing_or_unknown_is_named(
    service: Service, client: TestClient
) -> None:
    patched(client, prompt_template="{greeting} {input} {tone}", variables={"tone": "kind"})
    assert client.post("/createModel/ada", json={"baseModel": "demo"}).status_code == 201
    assert generate(client, variables={"greeting": "{input}", "tone": "brief"}).status_code == 200
    assert service.runtime.history[-1].messages[-1].content == f"{{input}} {QUESTION} brief"
    missing = generate(client)
    assert missing.status_code == 422
    assert "'greeting' is missing" in missing.json()["detail"]
    unknown = generate(client, variables={"greeting": "Hi", "mood": "x"})
    assert unknown.status_code == 422
    assert "'mood' is no variable" in unknown.json()["detail"]
    for ask in (chat, respond, message):
        assert ask(client).status_code == 400
        assert ask(client, variables={"greeting": "Hey"}).status_code == 200
        assert service.runtime.history[-1].messages[-1].content == f"Hey {QUESTION} kind"
    assert chat(client, variables={"greeting": "Hey"}, stop_token_ids=[0]).status_code == 200
    assert service.runtime.history[-1].options.stop_token_ids == (0,)
    rows = {"questions": ("q.csv", b"question,answer\nWhere?,Here\n")}
    judged = client.post("/evaluations", params={"modelName": "ada"}, files=rows)
    assert (judged.status_code, "'greeting' is missing" in judged.text) == (422, True), judged.text
    patched(client, prompt_template="")
    assert generate(client, variables={"tone": "kind"}).status_code == 422


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"options": {"heat": 1}}, "heat"),
        ({"options": {"max_tokens": 5000}}, "max_tokens"),
        ({"stop_token_ids": [-1]}, "stop_token_ids"),
        ({"stop_token_ids": [1], "options": {"stop_token_ids": [2]}}, "Given twice"),
        ({"extra": {"reasoning_split": False}}, "reasoning_split"),
        ({"prompt_template": "no question"}, "{input}"),
        ({"prompt_template": "{input.__class__}"}, "plain name"),
        ({"prompt_template": "{input} {x[0]}"}, "plain name"),
        ({"prompt_template": "{input} {x!r}"}, "plain name"),
        ({"prompt_template": "{input} {x:>9999999}"}, "plain name"),
        ({"prompt_template": "{input} {}"}, "plain name"),
        ({"prompt_template": "{input"}, "brace"),
        ({"prompt_template": "{input} {context} {context}"}, "context"),
        ({"variables": {"tone": "kind"}}, "tone"),
        (
            {"prompt_template": "{input} {a} {b}", "variables": dict.fromkeys("ab", "x" * 60_000)},
            "in all",
        ),
        ({"template": "chatml"}, "base model"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    client: TestClient, fields: dict[str, Any], said: str
) -> None:
    before = client.get("/show_model/demo").json()
    status, text = problem(client, **fields)
    assert status in (409, 422), text
    assert said in text
    assert client.get("/show_model/demo").json() == before


def test_a_persona_begins_with_what_its_base_has_and_goes_its_own_way(client: TestClient) -> None:
    patched(client, options={"temperature": 0.2, "top_k": 3}, prompt_template="Say: {input}")
    sent = {"baseModel": "demo", "parameters": {"temperature": 0.9}}
    assert client.post("/createModel/ada", json=sent).status_code == 201
    ada = client.get("/show_model/ada").json()
    assert ada["parameters"] == {"temperature": 0.9, "top_k": 3}
    assert ada["prompt_template"] == "Say: {input}"
    patched(client, options={}, prompt_template="")
    assert client.get("/show_model/ada").json() == ada
    changed = patched(client, "ada", template="zephyr")
    assert "<|assistant|>" in changed["template"]
    assert changed["parameters"] == {"temperature": 0.9, "top_k": 3, "stop": ["</s>"]}


@pytest.mark.parametrize("word", ["chatml", "llama3", "qwen", "mistral", "zephyr"])
def test_a_template_may_be_a_word(client: TestClient, word: str) -> None:
    sent = {"template": word, "parameters": {"stop": ["X"]}}
    assert client.post("/createModel/ada", json=sent).status_code == 201
    shown = client.get("/show_model/ada").json()
    assert "message" in shown["template"]
    assert shown["parameters"] == {"stop": ["X"]}
    assert word in client.get("/openapi.json").text


def test_what_is_made_anew_under_a_name_begins_without(
    service: Service, client: TestClient, tmp_path: Path
) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    runtime = service.app.state.services.workspaces.runtime
    ada = {"baseModel": "demo", "replace": True}

    def deleted() -> None:
        assert client.delete("/deleteModel/ada").status_code == 200
        assert client.post("/createModel/ada", json=ada).status_code == 201

    def published() -> None:  # as a fine-tune is
        async def publish() -> None:
            await runtime.create_model("ada--checking", GGUFFile(file), Persona())
            await runtime.delete_model("ada")
            await runtime.rename("ada--checking", "ada")

        service.client.portal.call(publish)  # type: ignore[union-attr]

    def examined() -> None:  # what runs it has lost it, and gets another one of its name
        asyncio.run(service.runtime.delete_model("ada"))
        examine = service.client.portal.call  # type: ignore[union-attr]
        found = examine(_models, service.app.state.services, True)
        assert any("Defaults of ada" in one.text and one.repaired for one in found)
        assert client.post("/createModel/ada", json=ada).status_code == 201

    ways = (lambda: client.post("/createModel/ada", json=ada), deleted, published, examined)
    for again in ways:
        client.post("/createModel/ada", json=ada)
        patched(client, "ada", options={"top_k": 3})
        again()
        assert client.get("/show_model/ada").json()["parameters"] == {}


def test_a_change_and_a_model_that_takes_the_name_do_not_mix(
    service: Service, tmp_path: Path
) -> None:
    """A change that is held against one model is not put to another, of a shorter context, which takes its place."""
    services = service.app.state.services
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    runtime = services.workspaces.runtime
    service.client.post("/createModel/ada", json={"baseModel": "demo"})
    begun, may_end = asyncio.Event(), asyncio.Event()
    create = service.runtime.create_model

    async def slowly(*arguments: Any, **more: Any) -> None:
        begun.set()
        await may_end.wait()
        await create(*arguments, **more)

    async def race() -> None:
        service.runtime.create_model = slowly  # type: ignore[method-assign]
        replacing = asyncio.create_task(
            runtime.create_model("ada", GGUFFile(file), Persona(), replace=True)
        )
        await begun.wait()
        changing = asyncio.create_task(
            services.model_changes.change("ada", Change(options=Options(top_k=3)))
        )
        await asyncio.sleep(0.05)
        assert not changing.done()
        may_end.set()
        await replacing
        service.runtime.create_model = create  # type: ignore[method-assign]
        assert (await changing).info.persona.parameters == Options(top_k=3)

    service.client.portal.call(race)  # type: ignore[union-attr]
    assert service.client.get("/show_model/ada").json()["parameters"] == {"top_k": 3}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    folder = tmp_path_factory.mktemp("library")
    store = open_migrated(folder / "state.sqlite3")
    library = Library(store, FakeRuntime(), folder / "lexical")
    asyncio.run(library.add("handbook.pdf", HANDBOOK))
    yield library
    library.index.close()
    store.close()


def test_they_survive_a_restart(tmp_path: Path) -> None:
    with open_service(tmp_path) as service:
        patched(
            service.client, options={"seed": 7}, stop_token_ids=[3], prompt_template="> {input}"
        )
        shown = service.client.get("/show_model/demo").json()
    with open_service(tmp_path) as service:
        again = service.client.get("/show_model/demo").json()
        assert {**again, "modified_at": ""} == {**shown, "modified_at": ""}


@pytest.mark.parametrize(
    ("template", "begins", "ends"),
    [
        (
            "Mark like [n].\n{context}\nNow {tone}: {input}",
            "Mark like [n].\n[1] The",
            "\nNow briefly: ",
        ),
        (
            "Be {tone}: {input}",
            "Answer the question from the passages",
            "\n\nQuestion: Be briefly: ",
        ),
    ],
)
def test_passages_stand_where_the_template_says_and_citations_are_checked(
    shelf: Library, tmp_path: Path, template: str, begins: str, ends: str
) -> None:
    runtime = FakeRuntime(lambda _: "It is 24 months [1]. It is blue [7].")
    shelf.serve_with(runtime)
    with serving(Settings(data_dir=tmp_path), open_over(shelf)) as client:
        patched(client, prompt_template=template, variables={"tone": "briefly"})
        said = {"modelName": "demo", "user_prompt": WARRANTY, "documents": ["*"], "expand": False}
        answer = client.post("/generate", json=said).json()
        each = client.post("/generate", json={**said, "per_document": True}).json()
        turns = [{"role": "user", "content": WARRANTY}]
        told = {"model": "demo", "documents": ["*"], "messages": turns}
        choice = client.post("/v1/chat/completions", json=told).json()["choices"][0]
        call = {"name": "ask", "arguments": {"question": WARRANTY, "model": "demo"}}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
        accepted = {"Accept": "application/json"}
        tool = client.post("/mcp", json=message, headers=accepted).json()["result"]
    assert tool["structuredContent"]["citations"] == answer["citations"]
    assert runtime.history[-1].messages == runtime.history[0].messages
    sent = runtime.history[0].messages[-1].content
    assert sent.startswith(begins)
    assert sent.endswith(ends + WARRANTY)
    assert "[1] The Vanta heater has" in sent
    every = (answer["citations"], each["citations"]["handbook.pdf"], choice["message"]["citations"])
    for citations in every:
        assert [one["n"] for one in citations] == [1]
        assert citations[0]["quote"] == "The Vanta heater has a warranty of 24 months."
    assert answer["receipt"]["unknown_markers"] == [7]
    assert answer["receipt"]["passages"][0]["tokens"] > 0


def test_another_workspace_can_use_and_not_change_what_is_shared(service: Service) -> None:
    patched(service.client, options={"top_k": 3})
    services = service.app.state.services.of("team")

    async def change() -> None:
        shown = await services.models.show("demo")
        assert shown.info.persona.parameters.top_k == 3
        await services.runtime.create_model("own", ExistingModel("demo"), Persona())
        changed = await services.model_changes.change("own", Change(options=Options(top_k=5)))
        assert changed.info.persona.parameters.top_k == 5
        await services.model_changes.change("demo", Change(options=Options(top_k=9)))

    with pytest.raises(Exception, match="alone can change it"):
        service.client.portal.call(change)  # type: ignore[union-attr]
    assert service.client.get("/show_model/demo").json()["parameters"] == {"top_k": 3}
