"""In which language a text is written."""

import pytest

from api.documents.reading.language import language_of

TEXTS = {
    "ar": "تفتح المكتبة في الساعة التاسعة من كل يوم",
    "cs": "Knihovna je otevřena od devíti do šesti a v neděli se zavírá.",
    "da": "Biblioteket åbner klokken ni og lukker klokken atten, hvis det ikke er helligdag efter aftale.",
    "de": "Die Bibliothek ist von neun bis sechs offen, und das Parken ist nicht frei.",
    "el": "Η βιβλιοθήκη ανοίγει στις εννέα.",
    "en": "The library is open from nine to six, and parking is not for free.",
    "es": "La biblioteca abre a las nueve de la mañana y no cierra hasta las seis.",
    "fi": "Kirjasto on auki yhdeksästä kuuteen, ja se ei ole auki sunnuntaina.",
    "fr": "Les employés ont droit à vingt-cinq jours de congé par an.",
    "he": "הספרייה נפתחת בתשע.",
    "hi": "पुस्तकालय नौ बजे खुलता है।",
    "hu": "A könyvtár kilenckor nyit és hatkor zár, vasárnap nem dolgozik.",
    "it": "La biblioteca apre alle nove del mattino e chiude alle diciotto.",
    "ja": "図書館は九時に開きます。",
    "ko": "도서관은 아홉 시에 엽니다.",
    "nl": "De bibliotheek is open van negen tot zes uur en het parkeren kost een euro.",
    "no": "Biblioteket åpner klokken ni og stenger klokken atten, hvis det ikke er etter avtale.",
    "pl": "Biblioteka jest otwarta od dziewiątej do osiemnastej i nie pracuje w niedziele.",
    "pt": "A biblioteca abre às nove horas da manhã e não fecha aos domingos.",
    "ro": "Biblioteca se deschide la nouă și se închide la șase, nu este deschisă duminica.",
    "ru": "Библиотека открывается в девять и закрывается в шесть.",
    "sv": "Biblioteket är öppet från nio och det är inte stängt på lördagar.",
    "th": "ห้องสมุดเปิดเก้าโมง",
    "tr": "Kütüphane sabah dokuzda açılır ve bu saatler için bir liste var.",
    "uk": "Бібліотека не працює в неділю, це є правилом.",
    "zh": "图书馆早上九点开门。",
}


@pytest.mark.parametrize("language", TEXTS)
def test_a_sentence_is_enough(language: str) -> None:
    assert language_of([TEXTS[language]]) == language


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12 34 56",
        "Table 4\n2021 2022\nNestlé 31,222 Roche 4,221",
        "i = a + b, i = 2 a",
        "Lorem ipsum dolor sit amet, consetetur sadipscing elitr, sed diam nonumy eirmod tempor.",
        "der the les",
    ],
)
def test_what_cannot_be_told_is_not_guessed(text: str) -> None:
    assert language_of([text]) == ""


def test_a_few_foreign_words_change_nothing() -> None:
    assert language_of([TEXTS["en"] * 3, TEXTS["zh"], "der die das"]) == "en"
    assert language_of([TEXTS["zh"] * 5, "WiFi, the name of it"]) == "zh"


def test_the_beginning_is_enough() -> None:
    assert language_of([TEXTS["de"] * 300, TEXTS["en"] * 5000]) == "de"
