"""What is wrong with a value, in our words: the library's own speak of Python's types and of parsing."""

from typing import Any

from pydantic_core import ErrorDetails

A_NUMBER = "A number is needed."
A_WHOLE_NUMBER = "A whole number is needed."
A_TRUTH = "`true` or `false` is needed."
A_LIST = "A list is needed."
AN_OBJECT = "An object is needed."

WORDS = {
    "bool_parsing": A_TRUTH,
    "bool_type": A_TRUTH,
    "dict_type": AN_OBJECT,
    "extra_forbidden": "There is nothing of this name here.",
    "finite_number": A_NUMBER,
    "float_parsing": A_NUMBER,
    "float_type": A_NUMBER,
    "greater_than": "More than {gt} is needed.",
    "greater_than_equal": "At least {ge} is needed.",
    "int_from_float": A_WHOLE_NUMBER,
    "int_parsing": A_WHOLE_NUMBER,
    "int_type": A_WHOLE_NUMBER,
    "less_than": "Less than {lt} is needed.",
    "less_than_equal": "At most {le} is allowed.",
    "list_type": A_LIST,
    "literal_error": "One of these is needed: {expected}.",
    "missing": "Required, but not given.",
    "model_attributes_type": AN_OBJECT,
    "model_type": AN_OBJECT,
    "string_pattern_mismatch": "The text is blank, or has characters that are not allowed; it must match {pattern}.",
    "string_too_long": "At most {max_length} characters are allowed.",
    "string_too_short": "At least {min_length} characters are needed.",
    "string_type": "A text is needed.",
    "too_long": "At most {max_length} are allowed.",
    "too_short": "At least {min_length} are needed.",
    "tuple_type": A_LIST,
    "union_tag_invalid": "Its {discriminator} is one of {expected_tags}.",
    "union_tag_not_found": "Its {discriminator} is missing.",
    "value_error": "{error}",
}


def in_our_words(found: ErrorDetails) -> str:
    """What the library found, told to the person who sent it."""
    context: dict[str, Any] = found.get("ctx", {})
    words = WORDS.get(found["type"])
    return words.format(**context) if words else found["msg"]
