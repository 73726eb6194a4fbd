"""The language of a text: by its script, and where several share that, by the small words it is made of.

Small words (the, der, les) are a third of any running text, and hardly two languages have the same ones. Lists of
names and numbers have none: their language is not known.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

ENOUGH_CHARACTERS = 20_000
"""So much of a document is looked at."""
FEWEST_WORDS = 8
"""Small words that must be there, but in a text that is shorter than a paragraph."""
FEWEST_DIFFERENT = 2
"""Of more than one letter: one alone may be a name, and letters stand in formulas."""
LEAST_SHARE = 0.1
"""Of the words that must be small ones of the language."""

_SCRIPTS = {
    "ja": "\u3041-\u3096\u30a1-\u30fa",
    "ko": "\uac00-\ud7a3\u1100-\u11ff",
    "zh": "\u4e00-\u9fff\u3400-\u4dbf",
    "th": "\u0e01-\u0e4e",
    "he": "\u05d0-\u05ea",
    "el": "\u0370-\u03ff\u1f00-\u1fff",
    "ta": "\u0b80-\u0bff",
    "hi": "\u0900-\u097f",
    "ar": "\u0600-\u06ff",
    "ru": "\u0400-\u04ff",
    "": "A-Za-z\u00c0-\u024f",
}
_COUNTS = {language: re.compile(f"[{characters}]") for language, characters in _SCRIPTS.items()}
_LETTERS = re.compile(r"[^\W\d_]+")

_SMALL_WORDS = {
    "ar": "في من على إلى أن عن هذا هذه التي الذي كان مع لا ما أو ثم بعد قبل كل بين",
    "fa": "و در به از که این است را با برای آن یک بر تا هم می شود شده خود ها",
    "ru": "и в не на с что как по из у за от для это к но или же был все так его только",
    "uk": "і в не на з що як та до за у від для це є або але був має й його при",
    "bg": "и в не на с че как по от за се да е са или но този към при беше като",
    "en": "the of and to in is that for it with as on be are this by from or was which not at an you have",
    "de": "der die das und ist nicht den von zu mit sich des dem ein eine im für auf auch als es an werden oder wird",
    "fr": "le la les de des et est une un dans que qui pour pas sur au du en par plus ce sont avec il vous ou aux",
    "es": "el la los las de que y en un una es por con para del se no al lo como más su pero sus este",
    "pt": "o a os as de que e em um uma é por com para do da não se no na ao mais dos das como são",
    "it": "il la di che e in un una è per con del non si della i le dei al da lo gli nel sono come alla",
    "nl": "de het een van en in is dat op te voor met zijn niet aan er ook als bij of naar wordt deze door",
    "sv": "och att det som en på är av för med den till inte ett om har de kan från eller vid när ska",
    "da": "og at det som en på er af for med den til ikke et om har de kan fra eller ved når skal blev hvis efter",
    "no": "og at det som en på er av for med den til ikke et om har de kan fra eller ved når skal ble hvis etter",
    "fi": "ja on ei että se oli joka kun mutta tai ovat sen myös kuin hän ne voi sekä jos mukaan",
    "hu": "a az és hogy nem is egy van meg de ha csak vagy ez el mint volt már még azt",
    "ro": "și de la în a cu pe nu este un o care din mai să se sunt pentru au prin sau al ale",
    "tr": "ve bir bu için ile da de olarak olan daha çok gibi kadar en ne ya sonra her veya değil",
    "pl": "i w na nie się z do to że jest o jak za od po przez dla są oraz lub które przy być",
    "cs": "a v na je se že s z do o to i jako pro ve jsou k od po nebo by jeho které při",
    "ca": "el la els les de que i en un una és per amb del no al com més dels seva són aquest pel",
    "id": "yang dan di ke dari ini itu untuk dengan pada adalah tidak dalam atau akan oleh juga sebagai dapat",
    "vi": "và của là có không các được cho trong một những với người này để khi đã ở về từ",
}
_LANGUAGES: dict[str, set[str]] = {}
for _language, _words in _SMALL_WORDS.items():
    for _word in _words.split():
        _LANGUAGES.setdefault(_word, set()).add(_language)


def language_of(texts: Iterable[str]) -> str:
    """ISO 639-1 of what most of the texts are written in, empty when it cannot be told."""
    text = _beginning(texts)
    counts = {language: len(found.findall(text)) for language, found in _COUNTS.items()}
    letters = sum(counts.values())
    if counts["ja"] > letters / 20 and counts["ja"] + counts["zh"] > letters / 2:
        return "ja"  # Han and syllables together
    script = max(counts, key=lambda language: counts[language])
    if not counts[script]:
        return ""
    if script in {"", "ar", "ru"}:
        return _by_small_words(text) or ("" if counts[""] >= letters / 2 else script)
    return script


def _beginning(texts: Iterable[str]) -> str:
    """Of all pages the same share would be fairer, and cost as much as reading them."""

    def pieces() -> Iterator[str]:
        room = ENOUGH_CHARACTERS
        for text in texts:
            yield text[:room]
            room -= len(text)
            if room <= 0:
                return

    return "\n".join(pieces())


def _by_small_words(text: str) -> str:
    words = [word.lower() for word in _LETTERS.findall(text)]
    found = Counter(language for word in words for language in _LANGUAGES.get(word, ()))
    whole = {word for word in words if len(word) > 1}
    different = Counter(language for word in whole for language in _LANGUAGES.get(word, ()))
    ranked = [one for one in found.most_common() if different[one[0]] >= FEWEST_DIFFERENT]
    if not ranked:
        return ""
    (best, most), *others = ranked
    is_ahead = not others or most > others[0][1]
    is_enough = most >= min(FEWEST_WORDS, len(words) / 4) and most >= LEAST_SHARE * len(words)
    return best if is_ahead and is_enough else ""
