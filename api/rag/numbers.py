"""Numbers in a text with what they count: `1,234`, `$5 million`, `24-month`, `three`. Arithmetic alone."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
SPELLED = {word: value for value, word in enumerate(_SMALL.split())} | {
    word: 10 * value for value, word in enumerate(_TENS.split(), start=2)
}
SCALES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
SCALES |= {"bn": 1e9, "mn": 1e6, "mio": 1e6, "dozen": 12}
_MONTHS = "January February March April May June July August September October November December"
MONTHS = _MONTHS.split()
_UNITS = """
usd: $ usd dollar
eur: \u20ac eur euro
gbp: \u00a3 gbp pound
percent: % percent
second: second sec
minute: minute min
hour: hour hr h
day: day
week: week
month: month
year: year yr
millimetre: mm millimetre millimeter
centimetre: cm centimetre centimeter
metre: m metre meter
kilometre: km kilometre kilometer
gram: g gram
kilogram: kg kilogram kilo
litre: l litre liter
inch: inch
mile: mile
degree: \u00b0 degree
kilobyte: kb kilobyte
megabyte: mb megabyte
gigabyte: gb gigabyte
watt: w watt
volt: v volt
"""
UNITS = {
    spelling: name
    for name, _, spellings in (line.partition(": ") for line in _UNITS.strip().splitlines())
    for spelling in spellings.split()
}

_NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*(?:-\d+)*(?:[.,]\d+)?")
_TOKEN = re.compile(
    rf"(?P<number>{_NUMBER.pattern})|(?P<word>[^\W\d_]+)|(?P<sign>[$\u20ac\u00a3%\u00b0])"
)
_THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+(\.\d+)?")


class Number(NamedTuple):
    """A value with its scale, the value as it is written, and what it counts, if that is known."""

    value: float
    written: float
    unit: str


def numbers(text: str) -> list[Number]:
    """All numbers of a text, in order; a time, a range, a telephone number is its parts."""
    tokens = list(_TOKEN.finditer(text))
    found: list[Number] = []
    for at, token in enumerate(tokens):
        for value in _values(token):
            found.append(_counted(value, tokens, at))
    return found


def _values(token: re.Match[str]) -> Iterator[float]:
    if word := token["word"]:
        if (value := SPELLED.get(word.casefold())) is not None:
            yield value
        return
    written = token["number"]
    if not written:
        return
    if _THOUSANDS.fullmatch(written):
        yield float(written.replace(",", ""))
    elif re.fullmatch(r"\d+(\.\d+)?", written):
        yield float(written)
    else:  # times, ranges, telephone numbers
        yield from (float(part) for part in re.findall(r"\d+(?:\.\d+)?", written))


def _counted(value: float, tokens: list[re.Match[str]], at: int) -> Number:
    """With the scale and the unit that stand beside it: `$5 million`, `30 business days`, `EUR 12`."""
    before = tokens[at - 1][0].casefold() if at else ""
    after = [token[0].casefold() for token in tokens[at + 1 : at + 4]]
    scale = 1.0
    if after and after[0] in SCALES:
        scale = SCALES[after.pop(0)]
    unit = UNITS.get(before, "") if before in {"$", "\u20ac", "\u00a3", "usd", "eur", "gbp"} else ""
    for word in after[:2]:
        unit = unit or UNITS.get(word, "") or UNITS.get(word.removesuffix("s"), "")
        if word in SPELLED or word[0].isdigit():
            break
    return Number(value * scale, value, unit)


def is_stated(claimed: Number, stated: list[Number]) -> bool:
    """Whether one of the numbers is this one; a unit that one side leaves out does not count."""
    return any(
        claimed.value == one.value or (claimed.written == one.value and one.value == one.written)
        for one in stated
        if not claimed.unit or not one.unit or claimed.unit == one.unit
    )
