"""embeddings as the stock SDK asks for them."""

import base64
import math
import struct
from typing import Any

import openai
import pytest

from tests.fakes import DIMENSION
from tests.service import Service

EMBEDDER = "all-minilm-l6-v2-int8"


def test_each_text_has_its_vector(sdk: openai.OpenAI) -> None:
    texts = ["one light", "two lights"]
    answer = sdk.embeddings.create(model=EMBEDDER, input=texts, encoding_format="float")
    assert [one.index for one in answer.data] == [0, 1]
    assert len(answer.data[0].embedding) == DIMENSION
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (4, 4)
    alone = sdk.embeddings.create(model=EMBEDDER, input="one light", encoding_format="float")
    assert alone.data[0].embedding == pytest.approx(answer.data[0].embedding)


def test_base64_is_the_same_vector_as_little_endian_floats(service: Service) -> None:
    body = {"model": EMBEDDER, "input": "one light"}
    plain = service.client.post("/v1/embeddings", json=body).json()["data"][0]["embedding"]
    body["encoding_format"] = "base64"
    coded = service.client.post("/v1/embeddings", json=body).json()["data"][0]["embedding"]
    assert struct.unpack(f"<{DIMENSION}f", base64.b64decode(coded)) == pytest.approx(plain)


def test_a_vector_that_is_cut_has_length_one_again(sdk: openai.OpenAI) -> None:
    answer = sdk.embeddings.create(
        model=EMBEDDER, input="one light", encoding_format="float", dimensions=40
    )
    vector = answer.data[0].embedding
    assert len(vector) == 40
    assert math.hypot(*vector) == pytest.approx(1) or not any(vector)


@pytest.mark.parametrize(
    ("members", "param", "words"),
    [
        ({"input": [1, 2, 3]}, "input", "check_embedding_ctx_length=False"),
        ({"input": [[1, 2], [3]]}, "input", "check_embedding_ctx_length=False"),
        ({"input": ["fine", " "]}, "input.1", "white space"),
        ({"input": ""}, "input", "white space"),
        ({"input": ["x"] * 2049}, "input", "2048"),
        ({"input": []}, "input", "1"),
        ({"model": "demo"}, "model", EMBEDDER),
        ({"dimensions": DIMENSION + 1}, "dimensions", str(DIMENSION)),
        ({"encoding_format": "hex"}, "encoding_format", "base64"),
    ],
)
def test_what_has_no_vector_is_named(
    service: Service, sdk: openai.OpenAI, members: dict[str, Any], param: str, words: str
) -> None:
    assert sdk  # holds what it hears against the specification
    body = {"model": EMBEDDER, "input": "x", **members}
    answer = service.client.post("/v1/embeddings", json=body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["param"].startswith(param)
    assert words in error["message"]


def test_a_text_that_is_too_long_is_named(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.embeddings.create(model=EMBEDDER, input=["short", "word " * 600])
    assert (caught.value.param, caught.value.code) == ("input.1", "context_length_exceeded")


def test_an_unknown_model_is_not_found(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        sdk.embeddings.create(model="nobody", input="x")
