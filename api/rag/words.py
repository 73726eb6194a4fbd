"""The words of a text that say what it is about, in the form in which they are compared. Arithmetic alone."""

import re
import unicodedata

_WORD = re.compile(r"\w+(?:['\u2019]\w+)?")
_ENDINGS = (
    "ations",
    "ation",
    "ings",
    "ing",
    "edly",
    "ages",
    "age",
    "ied",
    "ies",
    "ed",
    "es",
    "ly",
    "s",
)
_SHORTEST_STEM = 3
_IRREGULAR = dict(
    pair.split(":")
    for pair in """began:begin begun:begin bought:buy built:build brought:bring chosen:choose chose:choose drove:drive
    fell:fall given:give gave:give grew:grow grown:grow held:hold kept:keep knew:know known:know led:lead lost:lose
    made:make met:meet paid:pay sent:send sold:sell spent:spend taught:teach told:tell took:take taken:take won:win
    worn:wear wrote:write written:write""".split()  # noqa: SIM905
)

_COMMON = """
a about above after again all also am an and any are as at be because been before being below between both
but by can could did do does doing done down during each every few for from further get gets got had has have having
he her here hers him his how i if in into is it its itself just let like many may me might more most much must my no
nor not now of off on once one only or other others our out over own per please same shall she should so some such
tell than that the their them then there these they this those through to too under until up upon us use used using
very was we were what when where whether which while who whom whose why will with within without would yes you your
additionally certain furthermore generally however important importantly moreover therefore typically usually various
according describe document documents explain mention mentioned say says kind kinds type types
"""

COMMON = frozenset(_COMMON.split())
"""English words that stand in any text, and those with which one asks."""


def words(text: str) -> list[str]:
    """Words in order, folded: case, accents and the form of letters do not count."""
    plain = unicodedata.normalize("NFKD", text)
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return [word.casefold().replace("\u2019", "'") for word in _WORD.findall(plain)]


def stem(word: str) -> str:
    """A word without its English ending; forms of one word mostly have the same stem."""
    word = word.removesuffix("'s")
    word = _IRREGULAR.get(word, word)
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST_STEM:
            word = word[: -len(ending)]
            break
    if len(word) > _SHORTEST_STEM and word[-1] == word[-2] and word[-1] not in "aeiouls":
        return word[:-1]
    return word.removesuffix("e") if len(word) > _SHORTEST_STEM else word


def content_words(text: str) -> frozenset[str]:
    """The stems of the words that are not common."""
    return frozenset(stem(word) for word in words(text.replace("_", " ")) if word not in COMMON)
