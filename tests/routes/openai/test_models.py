"""models as the stock SDK lists, looks at and deletes them."""

import openai
import pytest

from tests.service import Service


def test_models_are_listed_and_found(sdk: openai.OpenAI) -> None:
    assert "demo" in [model.id for model in sdk.models.list()]
    assert sdk.models.retrieve("demo").owned_by == "base"


def test_embedding_models_are_listed_and_stay(sdk: openai.OpenAI) -> None:
    embedder = "all-minilm-l6-v2-int8"
    assert embedder in [model.id for model in sdk.models.list()]
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
