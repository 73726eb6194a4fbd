"""How pages become chunks."""

from itertools import pairwise

import pytest

from api.documents.split import Pause, pack, pieces
from api.store.chunks import Chunk
from api.store.contents import Page


def split(*texts: str, limit: int = 30, overlap: int = 0) -> list[Chunk]:
    pages = [Page(number, text) for number, text in enumerate(texts, start=1)]
    found = pieces(pages, 200)
    tokens = [len(piece.text.split()) for piece in found]
    return pack(pages, found, tokens, limit, overlap)


SECTIONS = (
    "Parking\nThe fee of the north garage is 45 euros a month. Ask the desk for a card.\n"
    "Holidays\nEvery employee has 30 days of holiday a year, and ten of them may be\n"
    "carried over to March.\n"
)


def test_a_heading_is_where_a_page_is_cut_when_it_must_be() -> None:
    chunks = split(SECTIONS)
    assert [chunk.heading for chunk in chunks] == ["Parking", "Holidays"]
    assert chunks[0].text.startswith("Parking\nThe fee")
    assert chunks[1].text.endswith("carried over to March.")
    assert [chunk.ordinal for chunk in chunks] == [0, 1]


def test_short_sections_that_fit_together_are_one_chunk_under_the_first_heading() -> None:
    chunks = split(SECTIONS, "It ends here.", limit=40)
    assert [chunk.heading for chunk in chunks] == ["Parking", "Holidays"]
    assert chunks[0].text == SECTIONS.strip()


def test_a_chunk_that_begins_with_a_heading_repeats_nothing_before_it() -> None:
    first, second = split(SECTIONS, overlap=10)
    assert first.text.endswith("for a card.")
    assert second.text.startswith("Holidays\nEvery")


def test_a_chunk_never_crosses_a_page_and_a_heading_holds_on_the_next_one() -> None:
    chunks = split("Travel\nTrains are booked in second class by the office.", "It pays for them.")
    assert [(chunk.page, chunk.heading) for chunk in chunks] == [(1, "Travel"), (2, "Travel")]


def test_long_text_is_cut_at_sentences_and_never_above_the_limit() -> None:
    text = " ".join(f"Sentence number {n} says that river {n} is long." for n in range(40))
    chunks = split(text, limit=30)
    assert all(chunk.tokens <= 30 for chunk in chunks)
    assert all(chunk.text.endswith(".") for chunk in chunks)
    assert " ".join(chunk.text for chunk in chunks) == text


def test_neighbours_share_their_edge() -> None:
    text = " ".join(f"Fact {n} is here now." for n in range(20))
    chunks = split(text, limit=20, overlap=5)
    for before, after in pairwise(chunks):
        last_sentence = "Fact" + before.text.rpartition("Fact")[2]
        assert after.text.startswith(last_sentence)
    assert all(chunk.tokens <= 20 for chunk in chunks)


def test_a_paragraph_is_a_better_place_to_cut_than_a_line() -> None:
    text = "a b c d e f g.\n\nh i j k l\nm n o p q\nr s t u v\nw x y z a"
    first, *_ = split(text, limit=12)
    assert first.text == "a b c d e f g."


@pytest.mark.parametrize(
    "text",
    [
        "The employees of the whole company\nmeet every year in Lindau.",
        "Name Price\nRope 12\nTent 90\nLamp 7",
        "1 2 3\n4 5 6 are numbers in this row, and so on.",
    ],
)
def test_lines_of_text_and_of_tables_are_no_headings(text: str) -> None:
    found = pieces([Page(1, text)], 200)
    assert all(piece.pause is not Pause.HEADING for piece in found)


def test_text_without_any_pause_is_cut_all_the_same() -> None:
    found = pieces([Page(1, "x" * 1000 + " " + "word " * 200)], 50)
    assert all(len(piece.text) <= 50 for piece in found)
    assert "".join(piece.text for piece in found).count("word") == 200


def test_a_page_of_thousands_of_short_lines_is_split_in_no_time() -> None:
    chunks = split("\n".join(["Short Line"] * 5000), limit=30)
    assert sum(chunk.tokens for chunk in chunks) == 10_000


def test_blank_pages_make_no_chunks() -> None:
    assert split("", "  \n ") == []


@pytest.mark.parametrize("text", ["A b. ", "a.) ", "ab"], ids=repr)
def test_a_line_of_a_million_characters_is_cut(text: str) -> None:
    long = text * (1_000_000 // len(text))
    cut = pieces([Page(1, long)], 400)
    assert "".join(piece.text for piece in cut) == long.strip()
