"""The word index by itself: what it matches, and what it survives."""

from pathlib import Path

import pytest

from api.index.lexical import Entry, LexicalIndex


def entry(chunk_id: int, text: str, document: str = "doc_a", heading: str = "") -> Entry:
    return Entry(chunk_id, document, "demo", heading, text)


@pytest.fixture
def lexical(tmp_path: Path) -> LexicalIndex:
    lexical = LexicalIndex(tmp_path / "lexical")
    come = [
        entry(1, "Employees are running daily."),
        entry(2, "The cat sleeps.", "doc_b"),
        entry(3, "Nothing of the kind.", "doc_b", heading="Report 2023 Cats"),
    ]
    lexical.follow(7, [], come)
    return lexical


def ids(
    lexical: LexicalIndex,
    query: str,
    owners: list[str] | None = None,
    documents: list[str] | None = None,
) -> list[int]:
    found = lexical.search(query, 10, owners=owners, documents=documents)
    return [hit.chunk_id for hit in found]


def test_words_match_by_their_stem_and_whatever_their_case(lexical: LexicalIndex) -> None:
    assert ids(lexical, "an EMPLOYEE who runs") == [1]


def test_a_word_in_the_text_counts_more_than_one_in_the_heading(lexical: LexicalIndex) -> None:
    assert ids(lexical, "cat") == [2, 3]
    assert ids(lexical, "2023") == [3]


@pytest.mark.parametrize(
    "query", ['cat AND ("', "text:cat^9 +*", "cat~ [a TO b]", "\x00 cat \U0001f600"]
)
def test_a_question_is_words_and_no_syntax(lexical: LexicalIndex, query: str) -> None:
    assert 2 in ids(lexical, query)


@pytest.mark.parametrize("query", ["", "?!", "zebra", "x" * 5000])
def test_a_question_without_known_words_finds_nothing(lexical: LexicalIndex, query: str) -> None:
    assert ids(lexical, query) == []


def test_only_the_asked_documents_and_owners_are_searched(lexical: LexicalIndex) -> None:
    assert ids(lexical, "cat employees", documents=["doc_a"]) == [1]
    assert ids(lexical, "cat", documents=[]) == []
    assert ids(lexical, "cat", owners=["other", "*"]) == []


def test_what_was_followed_is_there_after_opening_again(
    lexical: LexicalIndex, tmp_path: Path
) -> None:
    lexical.follow(9, ["doc_b"], [entry(4, "A dog barks.", "doc_c")])
    again = LexicalIndex(tmp_path / "lexical")
    assert (again.seen, again.ids()) == (9, {1, 4})


@pytest.mark.parametrize("harm", ["cut", "zeroed", "missing"])
@pytest.mark.parametrize("file", ["*.term", "*.store", "*.fast", "meta.json"])
def test_a_damaged_folder_begins_anew(
    lexical: LexicalIndex, tmp_path: Path, file: str, harm: str
) -> None:
    (damaged,) = (tmp_path / "lexical").glob(file)
    content = damaged.read_bytes()
    if harm == "missing":
        damaged.unlink()
    else:
        damaged.write_bytes(bytes(len(content)) if harm == "zeroed" else content[:-8])
    again = LexicalIndex(tmp_path / "lexical")
    assert (again.seen, again.ids()) == (0, set())
    again.follow(7, [], [entry(1, "Employees are running daily.")])
    assert ids(again, "runs") == [1]
