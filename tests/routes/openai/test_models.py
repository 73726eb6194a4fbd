"""models as the stock SDK lists, looks at and deletes them."""

from pathlib import Path

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.routes.openai.conftest import sdk_over
from tests.service import Service, open_service


def test_models_are_listed_and_found(sdk: openai.OpenAI) -> None:
    assert "demo" in [model.id for model in sdk.models.list()]
    assert sdk.models.retrieve("demo").owned_by == "base"


def test_embedding_models_are_listed_and_stay(sdk: openai.OpenAI) -> None:
    embedder = "all-minilm-l6-v2-int8"
    listed = [model.id for model in sdk.models.list()]
    assert listed.index(embedder) > listed.index("demo"), "some clients begin with the first one"
    assert sdk.models.retrieve(embedder).id == embedder
    with pytest.raises(openai.BadRequestError, match="embeds documents"):
        sdk.models.delete(embedder)


def test_a_name_may_have_slashes_and_colons(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        sdk.models.retrieve("ft:demo/x:org::1")
    assert "'ft:demo/x:org::1'" in caught.value.message


def test_a_persona_is_deleted(service: Service, sdk: openai.OpenAI) -> None:
    service.client.post("/createModel/ada", json={"system": "You are Ada."}).raise_for_status()
    deleted = sdk.models.delete("ada")
    assert (deleted.id, deleted.deleted) == ("ada", True)
    assert "ada" not in [model.id for model in sdk.models.list()]


@pytest.fixture
def tuned(service: Service) -> str:
    """The alias of a fine-tune `Tuned`."""
    service.client.post("/createModel/Tuned", json={"system": "Be brief."}).raise_for_status()
    service.store.models.put("Tuned", "fine-tune", "demo", "job_0123456789abcdef")
    return "ft:demo:default:a suffix:job_0123456789abcdef"


def test_a_fine_tune_answers_under_its_alias(
    service: Service, sdk: openai.OpenAI, tuned: str
) -> None:
    answer = sdk.chat.completions.create(
        model=tuned, messages=[{"role": "user", "content": "Hello"}]
    )
    assert answer.model == sdk.completions.create(model=tuned, prompt="Hello").model == "Tuned"
    assert service.runtime.history[0].messages[0].content == "Be brief."
    assert sdk.models.retrieve(tuned).id == "Tuned"
    asked = {"name": "ask", "arguments": {"question": "Hello?", "model": tuned}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": asked}
    told = service.client.post("/mcp", json=message, headers={"Accept": "application/json"})
    assert told.json()["result"]["structuredContent"]["model"] == "Tuned"
    assert sdk.models.delete(tuned).id == "Tuned"
    with pytest.raises(openai.NotFoundError) as caught:
        sdk.completions.create(model=tuned, prompt="Hello")
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize(
    "wrong",
    [
        "ft:other:default:a suffix:job_0123456789abcdef",
        "ft:demo:team:a suffix:job_0123456789abcdef",
        "ft:demo:default:a suffix:job_0000000000000000",
        "ft:demo:default:a suffix:",
        "ft:",
    ],
)
def test_what_is_no_ones_alias_is_not_found(sdk: openai.OpenAI, tuned: str, wrong: str) -> None:
    assert sdk.models.retrieve(tuned)
    with pytest.raises(openai.NotFoundError):
        sdk.models.retrieve(wrong)


def test_a_key_may_use_the_alias_of_what_it_may_use(tmp_path: Path) -> None:
    with open_service(tmp_path, api_key="first") as service:
        first = {"Authorization": "Bearer first"}
        for name, number in (("mine", 1), ("yours", 2)):
            made = service.client.post(f"/createModel/{name}", headers=first)
            assert made.status_code == 201, made.text
            service.store.models.put(name, "fine-tune", "demo", f"job_{number:016x}")
        wanted = {"alias": "limited", "models": ["mine"], "scopes": ["use"]}
        key = service.client.post("/keys", json=wanted, headers=first).json()["key"]
        sdk = sdk_over(service.client, key)
        hello: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]
        mine, yours = (f"ft:demo:default::job_{number:016x}" for number in (1, 2))
        assert sdk.models.retrieve(mine).id == "mine"
        assert sdk.chat.completions.create(model=mine, messages=hello).model == "mine"
        for ask in (
            lambda: sdk.models.retrieve(yours),
            lambda: sdk.chat.completions.create(model=yours, messages=hello),
        ):
            with pytest.raises(openai.NotFoundError) as caught:
                ask()
            assert "mine" in caught.value.message
