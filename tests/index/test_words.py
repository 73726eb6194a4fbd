"""Words in every language: what one way of writing finds of another."""

import unicodedata
from pathlib import Path

import pytest
import tantivy

from api.index.lexical import Entry, LexicalIndex
from api.index.words import Terms, asked_words, terms_of

NOTICES = (
    "停车证每月四十欧元，请在前台办理。办理时请带身份证。",
    "图书馆晚上九点关门，周日休息。",
    "自行车可以停在东门旁边的车棚里。",
    "员工每年有二十五天年假，须提前两周申请。",
    "无线网络的密码是极光二零二五。",
    "食堂午餐价格为六欧元五十分。",
)
QUESTIONS = (
    "停车证多少钱",
    "图书馆几点关门",
    "自行车停在哪里",
    "年假有多少天",
    "无线网密码",
    "午餐价格",
)


class Shelf:
    """Texts in their languages, to be asked for words."""

    def __init__(self, folder: Path) -> None:
        self.lexical = LexicalIndex(folder / "lexical")

    def holds(self, *texts: str, language: str = "", heading: str = "") -> "Shelf":
        come = [
            Entry(number, f"doc_{number}", "demo", heading, text, language=language)
            for number, text in enumerate(texts, start=len(self.lexical.ids()))
        ]
        self.lexical.follow(self.lexical.seen + 1, [], come)
        return self

    def found(self, query: str) -> list[int]:
        return [hit.chunk_id for hit in self.lexical.search(query, 10)]

    def coverage(self, query: str) -> dict[int, float]:
        return {hit.chunk_id: hit.coverage for hit in self.lexical.search(query, 10)}


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


@pytest.mark.parametrize("language", ["zh", ""])
def test_a_run_of_chinese_is_found_by_its_parts(shelf: Shelf, language: str) -> None:
    shelf.holds(*NOTICES, language=language)
    assert [shelf.found(question)[0] for question in QUESTIONS] == list(range(len(QUESTIONS)))


def test_a_line_of_chinese_may_end_within_a_word(shelf: Shelf) -> None:
    shelf.holds("请到图书\n馆办理。", "书", "馆内禁烟。", language="zh")
    assert shelf.found("书馆") == [0]


def test_one_character_finds_the_words_that_begin_with_it_or_end_in_it(shelf: Shelf) -> None:
    shelf.holds("增值税", "税务局", "图书馆", language="zh")
    assert sorted(shelf.found("税")) == [0, 1]


WRITTEN = [
    ("ja", "図書館は午後九時に閉まります。", "図書館の時間"),
    ("ja", "ﾊﾟｽﾜｰﾄﾞは毎月変わります。", "パスワード"),
    ("ko", "도서관은 아홉 시에 문을 닫습니다.", "도서관 시간"),
    ("th", "ห้องสมุดปิดเวลาเก้าโมง", "ห้องสมุดปิดกี่โมง"),
    ("zh", "请连接5G网络或WiFi热点。", "wifi网络"),
    ("hi", "पुस्तकालय नौ बजे बंद होता है।", "पुस्तकालय"),
    ("ar", "تُغلَق المَكتَبةُ في التاسعة.", "المكتبة"),
    ("he", "הַסִּפְרִיָּה נסגרת בתשע.", "הספריה"),
    ("de", "Die Kündigungsfristen sind lang.", "Kündigungsfrist"),
    ("de", "Die Probezeit endet.", "PROBEZEITEN"),
    ("de", "Die Verträge gelten.", "Vertrag"),
    ("de", "Die Strasse ist zu.", "Straße"),
    ("de", "Frau Mueller ist da.", "Müller"),
    ("de", "Herr Schäfer ist da.", "Schaefer"),
    ("es", "La información está aquí.", "informacion"),
    ("es", "La habitacion esta lejos.", "habitaciones"),
    ("fr", "Les employés sont là.", "employe"),
    ("fr", "L’œuvre complète.", "oeuvre"),
    ("fr", "L'eau est chère.", "eau"),
    ("tr", "ISPARTA'da ılık bir gün.", "Isparta"),
    ("tr", "İSTANBUL'da değil.", "istanbul"),
    ("tr", "Iğdır soğuk.", "ığdır"),
    ("tr", "Kitapları okudu.", "kitap"),
    ("ru", "Все ещё в отпусках.", "еще отпуск"),
    ("el", "Η βιβλιοθήκη κλείνει.", "ΒΙΒΛΙΟΘΗΚΗ"),
    ("pl", "Źródło jest w ogrodzie.", "zrodlo"),
    ("da", "Rødgrød med fløde.", "rodgrod"),
    ("en", "Workers are running.", "a worker who runs"),
]


@pytest.fixture(scope="module", params=["NFC", "NFD"])
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """Every language at once, composed or with its accents apart."""
    shelf = Shelf(tmp_path_factory.mktemp("library"))
    come = [
        Entry(
            number, "doc", "demo", "", unicodedata.normalize(request.param, text), language=language
        )
        for number, (language, text, _) in enumerate(WRITTEN)
    ]
    shelf.lexical.follow(1, [], come)
    return shelf


@pytest.mark.parametrize("number", range(len(WRITTEN)))
def test_words_are_found_in_every_language(library: Shelf, number: int) -> None:
    query = WRITTEN[number][2]
    assert library.found(query)[0] == number
    assert library.found(unicodedata.normalize("NFD", query))[0] == number


@pytest.mark.parametrize("language", ["de", "en", "fr", "pl"])
def test_the_same_accents_count_more(shelf: Shelf, language: str) -> None:
    shelf.holds("Herr Muller war hier.", "Herr Mu\u0308ller war hier.", language=language)
    assert (shelf.found("Müller"), shelf.found("Muller")) == ([1, 0], [0, 1])


SPELLINGS = [
    ("The of\ufb01ce is on the \ufb01fth \ufb02oor.", ["office", "fifth floor"]),
    ("We co\u00adoperate.", ["cooperate"]),
    ("Revenue\u00b9 of Java\u2122.", ["revenue", "java"]),
    ("Ｆｕｌｌ width, x\u2212ray.", ["full", "x-ray", "xray"]),
    ("An in-network provider.", ["in-network", "network", "innetwork"]),
    ("Part AB-123/4 is sold.", ["AB-123/4", "AB123/4", "ab", "123"]),
    ("See form 10-K.", ["10-K", "10K", "10 k"]),
    ("On 2023-05-01 we met.", ["2023-05-01", "2023", "2023/05/01"]),
    ("It cost 1,234.50 dollars.", ["1234.50", "1,234.50", "1.234,50"]),
    ("All U.S. taxes.", ["US", "U.S.", "U.S"]),
    ("In FY2019 it rose.", ["FY2019", "2019", "FY 2019"]),
    ("Call read_only_mode.", ["read_only_mode", "read-only", "mode"]),
    ("R&D at AT&T.", ["R&D", "AT&T"]),
]


def test_numbers_and_names_of_parts_are_found_whole_and_in_parts(shelf: Shelf) -> None:
    shelf.holds(*(text for text, _ in SPELLINGS))
    for number, (_, queries) in enumerate(SPELLINGS):
        assert {query: shelf.found(query)[0] for query in queries} == dict.fromkeys(queries, number)


def test_the_whole_counts_more_than_its_parts(shelf: Shelf) -> None:
    shelf.holds("The network in the house is fast.", "An in-network provider is near.")
    assert shelf.found("in-network") == [1, 0]


def test_a_stem_of_one_language_is_none_of_another(shelf: Shelf) -> None:
    shelf.holds("Das ist neu.", language="de").holds("Something new.", language="en")
    assert shelf.found("news") == []  # `new` by the German stemmer


def test_a_word_of_several_languages_weighs_no_more_than_another(shelf: Shelf) -> None:
    words = asked_words("garage", ["de", "en", "fr", "-"])
    assert len(words) == 1
    shelf.holds("garage one", "zebra one", language="en").holds("la maison", language="fr")
    (garage,) = shelf.lexical.search("garage", 5)
    (zebra,) = shelf.lexical.search("zebra", 5)
    assert garage.score == pytest.approx(zebra.score)


def test_coverage_says_how_much_of_a_question_is_there(shelf: Shelf) -> None:
    shelf.holds("a boiler", "a boiler and a pump", "a house").holds("nothing", heading="the boiler")
    found = shelf.coverage("boiler pump")
    assert found[1] == pytest.approx(1.0)
    assert 0 < found[0] < 0.5  # the rarer word is not there
    assert found[3] == pytest.approx(found[0])
    assert shelf.coverage("boiler unheardof")[0] < 0.5


def test_more_words_than_can_be_counted_are_searched_still(shelf: Shelf) -> None:
    words = [f"{number}" for number in range(100, 160)]
    shelf.holds(" ".join(words), "Nothing of the kind.")
    assert shelf.coverage(" ".join(words)) == {0: pytest.approx(1.0)}


def test_weights_of_fields_are_given_with_the_question(tmp_path: Path) -> None:
    lexical = LexicalIndex(tmp_path / "lexical")
    fields = {"heading": "", "text": "", "title": "", "name": ""}
    come = [
        Entry(number, "doc", "demo", **{**fields, field: "boiler"})
        for number, field in enumerate(fields)
    ]
    lexical.follow(1, [], come)

    def found(**weights: float) -> list[int]:
        return [hit.chunk_id for hit in lexical.search("boiler", 10, weights=weights)]

    assert found(title=1.0) == [2]
    assert found(text=1.0, name=2.0) == [3, 1]
    assert found(text=1.0, heading=0.0) == [1]


def test_an_index_of_another_layout_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "lexical"
    folder.mkdir()
    tantivy.Index(tantivy.SchemaBuilder().add_text_field("text").build(), path=str(folder))
    shelf = Shelf(tmp_path).holds("A boiler.")
    assert shelf.found("boiler") == [0]


def test_a_long_text_is_cut_the_same_whether_its_pieces_were_seen_or_not() -> None:
    text = "Kündigungsfristen " * 3 + "x" * 500 + " 10-K"
    seen: dict[str, Terms] = {}
    first = terms_of(text, "de", seen)
    assert terms_of(text, "de", seen) == first
    assert max(map(len, first.split())) < 80


def test_the_pieces_that_are_remembered_have_one_bound_over_all_languages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("api.index.words.MOST_PIECES", 5)
    seen: dict[str, Terms] = {}
    for language in ("de", "fr", "en", "it"):
        terms_of("eins zwei drei", language, seen)
    assert {group: len(terms) for group, terms in seen.items()} == {"en": 3, "it": 3}
