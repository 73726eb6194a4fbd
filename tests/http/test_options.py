"""The options of an answer, written once."""

from dataclasses import fields

from api.http.options import ELSEWHERE, GenerationOptions
from api.runtime import Options


def test_the_wire_has_each_option_of_the_runtimes() -> None:
    known = {field.name for field in fields(Options)}
    assert set(GenerationOptions.model_fields) == known - {"json_schema", "tools"}


def test_names_of_elsewhere_point_to_names_of_ours() -> None:
    assert set(ELSEWHERE.values()) <= set(GenerationOptions.model_fields)
    assert not set(ELSEWHERE) & set(GenerationOptions.model_fields)
