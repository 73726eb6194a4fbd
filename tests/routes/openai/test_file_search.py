"""file_search of responses as the stock SDK asks for it: answers from vector stores, with citations."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from api.rag.prompts import REFUSAL
from tests.fake_answers import Said
from tests.routes.openai.conftest import sdk_over
from tests.routes.openai.test_responses import OSLO, WEATHER
from tests.routes.openai.test_vector_stores import TOWER, added, sent
from tests.service import Service, open_service

ASKED = "How tall is the lighthouse tower?"
SAID = f"{TOWER} [1]"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One for all: what is in its store takes a while to come."""
    with open_service(tmp_path_factory.mktemp("search")) as service:
        yield service


@pytest.fixture(scope="module")
def sdk(service: Service) -> openai.OpenAI:
    """OpenAI's client over that one."""
    return sdk_over(service.client)


@pytest.fixture(scope="module")
def store(sdk: openai.OpenAI) -> str:
    """The id of a vector store that knows a tower."""
    made = sdk.vector_stores.create(name="Towers")
    added(sdk, made.id, sent(sdk), town="Harrow")
    return made.id


NO_OTHER_WORDS = ""
"""How the model rephrases a question."""


def search(store: str, **members: Any) -> Any:
    return {"type": "file_search", "vector_store_ids": [store], **members}


def test_an_answer_from_a_store_cites_its_file(
    service: Service, sdk: openai.OpenAI, store: str
) -> None:
    service.runtime.will_answer(NO_OTHER_WORDS, SAID, NO_OTHER_WORDS, SAID)
    [file] = sdk.vector_stores.files.list(store).data
    asked: Any = {"model": "demo", "input": ASKED, "tools": [search(store)]}
    answer = sdk.responses.create(**asked, include=["file_search_call.results"])
    found, message = answer.output
    assert found.type == "file_search_call"
    assert found.queries[0] == ASKED
    [result] = found.results or []
    assert (result.file_id, result.filename, result.text) == (file.id, "tower.txt", TOWER)
    assert result.attributes == {"town": "Harrow"}
    assert message.type == "message"
    part = message.content[0]
    assert part.type == "output_text"
    [cited] = part.annotations
    assert cited.type == "file_citation"
    assert (cited.file_id, cited.filename) == (file.id, "tower.txt")
    assert cited.index == part.text.index("[1]")
    told = cited.model_dump()
    assert (told["page"], told["quote"]) == (1, TOWER)
    assert answer.model_dump()["receipt"]["passages"][0]["document"] == "tower.txt"
    events = list(sdk.responses.create(**asked, stream=True))
    kinds = [event.type.removeprefix("response.") for event in events]
    assert kinds[2:7] == [
        "output_item.added",
        "file_search_call.in_progress",
        "file_search_call.searching",
        "file_search_call.completed",
        "output_item.done",
    ]
    last = kinds.index("output_text.annotation.added")
    assert kinds[last + 1 :] == [
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    done = events[6]
    assert done.type == "response.output_item.done"
    assert done.item.type == "file_search_call"
    assert (done.item.queries[0], done.item.results) == (ASKED, None)


def test_only_what_the_tool_allows_is_found(
    service: Service, sdk: openai.OpenAI, store: str
) -> None:
    town: Any = {"type": "eq", "key": "town", "value": "Harrow"}
    for members in (
        {"filters": town},
        {"filters": {**town, "value": "Marlow"}},
        {"ranking_options": {"score_threshold": 1}},
    ):
        service.runtime.will_answer(NO_OTHER_WORDS, SAID)
        answer = sdk.responses.create(model="demo", input=ASKED, tools=[search(store, **members)])
        assert answer.output_text == (SAID if members == {"filters": town} else REFUSAL)
        service.runtime._answers.clear()


def test_where_the_store_holds_no_answer_a_function_may_be_called(
    service: Service, sdk: openai.OpenAI, store: str
) -> None:
    service.runtime._put("caller", 4096, {"chat", "json_schema", "tools"})
    call = Said(calls=[("weather", OSLO)])
    both = Said("From it: [1]", calls=[("weather", OSLO)])
    service.runtime.will_answer(NO_OTHER_WORDS, both, NO_OTHER_WORDS, call)
    asked: Any = {"model": "caller", "tools": [search(store), WEATHER], "stream": True}
    for members, kinds in (
        ({"input": ASKED}, ["file_search_call", "message", "function_call"]),
        (
            {
                "input": ASKED,
                "tools": [search(store, ranking_options={"score_threshold": 1}), WEATHER],
            },
            ["file_search_call", "function_call"],
        ),
    ):
        last = list(sdk.responses.create(**{**asked, **members}))[-1]
        assert last.type == "response.completed"
        assert [item.type for item in last.response.output] == kinds
    called: Any = last.response.output[1]
    result: Any = {"type": "function_call_output", "call_id": called.call_id, "output": "4 degrees"}
    on = sdk.responses.create(
        model="caller", input=[result], previous_response_id=last.response.id, tools=asked["tools"]
    )
    assert (on.output_text, [item.type for item in on.output]) == ("4 degrees", ["message"])


def test_a_choice_says_whether_is_searched(
    service: Service, sdk: openai.OpenAI, store: str
) -> None:
    tools = [search(store), WEATHER]
    named: Any = {"type": "function", "name": "weather"}
    choices: list[tuple[Any, str]] = [
        ("none", "message"),
        (named, "function_call"),
        ({"type": "file_search"}, "file_search_call"),
    ]
    for choice, first in choices:
        answer = sdk.responses.create(model="demo", input=ASKED, tools=tools, tool_choice=choice)
        assert answer.output[0].type == first
    with pytest.raises(openai.NotFoundError):
        sdk.responses.create(model="demo", input=ASKED, tools=[search("vs_made_up")])
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.responses.create(model="demo", input=ASKED, tools=[search(store), search(store)])
    assert caught.value.param == "tools.1"


def test_a_persona_that_is_bound_to_a_collection_searches_it(
    service: Service, sdk: openai.OpenAI, store: str
) -> None:
    service.client.post("/createModel/ada", json={"collection": store}).raise_for_status()
    service.runtime.will_answer(NO_OTHER_WORDS, SAID)
    answer = sdk.responses.create(model="ada", input=ASKED)
    assert [item.type for item in answer.output] == ["file_search_call", "message"]
    plain = sdk.responses.create(model="ada", input=ASKED, tool_choice="none")
    assert plain.output_text == ASKED
