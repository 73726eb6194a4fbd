"""Whether characters can be text: what a font without Unicode values gives is not."""

import re
import unicodedata

_PRIVATE = re.compile("[\ue000-\uf8ff\ufffd\U000f0000-\U0010ffff\x00-\x08\x0e-\x1f]")
_TOKEN = re.compile(r"[^\W\d_]{3,}")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
_VOWEL = re.compile(r"[aeiouy]", re.I)
_CASE = re.compile(
    r"[a-z\u00df-\u024f']+|[A-Z\u00c0-\u024f][a-z\u00df-\u024f']*|[A-Z\u00c0-\u00de]+"
)
_FREQUENT = frozenset(
    " ".join(
        (
            "the of and to in for is on that with as by are this be or at from an it not have you your",
            "der die und das von zu den mit ist im auf für nicht ein eine dem sich des werden bei oder",
            "de la le et les en du pour une un dans par sur est que qui au plus avec il",
            "el los del con para se como di che per non sono della dei alla gli do da em os com uma",
            "ao van het een voor op te zijn met",
        )
    ).split()
)
_SHIFTS = (28, 29, 30, 31)
"""Between the number of a glyph and the ASCII character that it stands for, in fonts as they are made."""
FEW_WORDS = 20


_BULLET = re.compile("[\uf0a7\uf0a8\uf0b7\uf0d8\uf0fc\uf076]")
_ICON = re.compile("(?<![\ue000-\uf8ff])[\ue000-\uf8ff]{1,2}(?![\ue000-\uf8ff])")


def without_icons(text: str) -> str:
    """The bullets of symbol fonts as bullets, and spaces for single signs of which only the font knows the picture."""
    return _ICON.sub(lambda found: " " * len(found[0]), _BULLET.sub("\u2022", text))


def is_private(text: str) -> bool:
    """Whether a third of it are characters without a meaning that all know."""
    whole = len(text) - text.count(" ")
    return bool(whole) and 3 * len(_PRIVATE.findall(text)) > whole


def looks_written(text: str) -> bool:
    """Whether Latin letters form words: with vowels, and capitals where words have them."""
    if is_private(text):
        return False
    tokens = _TOKEN.findall(text)
    if not tokens:
        return False
    letters = sum(map(len, tokens))
    if 2 * letters < len("".join(text.split())):
        return False
    good = sum(len(token) for token in tokens if _is_word(token))
    return 4 * good >= 3 * letters


def _is_word(token: str) -> bool:
    bare = "".join(
        one for one in unicodedata.normalize("NFD", token) if not unicodedata.combining(one)
    )
    return bool(_LATIN.match(token) and _VOWEL.search(bare) and _CASE.fullmatch(token))


def is_disguised(text: str) -> bool:
    """Whether the numbers of glyphs look like text: Latin letters that say something once all of them are moved by the
    same distance, and nothing as they stand.
    """
    tokens = text.split()
    few = 0.02 * len(tokens)
    if len(tokens) < FEW_WORDS // 2 or sum(map(_FREQUENT.__contains__, tokens)) > few:
        return False
    if _frequent(tokens) > 0.02:
        return False
    return any(_frequent(_moved(text, shift).split()) > 0.1 for shift in _SHIFTS)


def _frequent(tokens: list[str]) -> float:
    return sum(token.strip(".,;:()").lower() in _FREQUENT for token in tokens) / max(len(tokens), 1)


def _moved(text: str, shift: int) -> str:
    """A space of such text is the character below `!`, which is no printable one, or a space."""
    return "".join(
        chr(ord(one) + shift) if one.isascii() and not one.isspace() else " " for one in text
    )
