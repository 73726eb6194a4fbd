"""The options of an answer, written once."""

from dataclasses import fields
from typing import Any

import pytest
from pydantic import ValidationError

from api.http.options import ELSEWHERE, GenerationOptions
from api.runtime import Options
from api.runtime.options import SAMPLING

ONLY_BELOW_V1 = {
    *("json_schema", "tools", "tool_choice", "parallel_tool_calls"),
    *("logprobs", "logit_bias", "think"),
}
"""What the customer's paths do not ask for."""
ONLY_WITH_A_MODEL = {"extra"}
"""What no request asks for."""


def test_the_wire_has_each_option_of_the_runtimes() -> None:
    known = {field.name for field in fields(Options)}
    assert set(GenerationOptions.model_fields) == known - ONLY_BELOW_V1 - ONLY_WITH_A_MODEL


@pytest.mark.parametrize("name", SAMPLING)
def test_the_wire_takes_what_the_runtimes_take(name: str) -> None:
    least, most = SAMPLING[name]
    highest: dict[str, Any] = {name: most}
    assert GenerationOptions.model_validate(highest).options() == Options(**highest)
    with pytest.raises(ValidationError):
        GenerationOptions.model_validate({name: most + 1})
    with pytest.raises(ValidationError):
        GenerationOptions.model_validate({name: least - 1})


def test_names_of_elsewhere_point_to_names_of_ours() -> None:
    assert set(ELSEWHERE.values()) <= set(GenerationOptions.model_fields)
    assert not set(ELSEWHERE) & set(GenerationOptions.model_fields)
