"""The table of providers in the documentation is the table that is used."""

from pathlib import Path

from api.backends.providers import PROVIDERS, providers_table
from tests.backends.stand_in import REFUSES

PAGE = Path(__file__).parents[2] / "docs" / "back-ends.md"


def test_the_table_of_providers_is_current() -> None:
    """`python -m api.backends.providers` writes it."""
    _, table = PAGE.read_text(encoding="utf-8").split("<!-- providers -->\n")
    assert table.partition("<!-- end of providers -->")[0] == providers_table()


def test_the_stand_in_knows_each_row() -> None:
    ours = {"causal", "custom"}  # no stand-in: they are the real thing
    assert PROVIDERS.keys() - ours == REFUSES.keys()
