"""Misspelled words under what they mean."""

import pytest

from api.rag.spelling import meant

KNOWN = frozenset(["network", "health", "regard", "claim", "wing", "2022", "hospital"])


@pytest.mark.parametrize(
    ("word", "means"),
    [
        ("network", {"network"}),
        ("netwrk", {"network"}),
        ("helth", {"health"}),
        ("hosptial", {"hospital"}),
        ("clam", {"claim"}),
        ("wig", set()),  # too short to be told from others
        ("2023", set()),
        ("alth", set()),  # another first letter
        ("comet", set()),
    ],
)
def test_a_word_means_itself_or_those_that_are_spelled_almost_so(
    word: str, means: set[str]
) -> None:
    assert meant(word, KNOWN) == means


def test_how_short_a_word_may_be_misspelled_is_told() -> None:
    assert meant("wht", {"what", "does"}, least=3) == {"what"}
