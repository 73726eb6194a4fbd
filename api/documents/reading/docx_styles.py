"""What the styles of a Word document say: which paragraphs are headings, and how its lists count."""

import re
from typing import Any

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
MAX_CHAIN = 20
"""Styles that one is based on."""
LEVELS = 9
_HEADING = re.compile(r"heading (\d)", re.IGNORECASE)
_PLACE = re.compile(r"%(\d)")
_ROMAN = (
    *((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc")),
    *((50, "l"), (40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i")),
)

Place = tuple[str, int]
"""A list by its id, and a level of it."""


class Styles:
    """The styles of paragraphs by their ids."""

    def __init__(self, tree: Any) -> None:
        found = tree.iter(W + "style") if tree is not None else ()
        self._styles = {style.get(W + "styleId"): style for style in found}

    def level(self, paragraph: Any) -> int | None:
        """Of which level it is a heading, 0 for the title of the document; None for other text."""
        own = _value(paragraph, f"{W}pPr/{W}outlineLvl")
        if own is not None:
            return _level(own)
        for style in self._chain(paragraph):
            name = str(_value(style, W + "name") or "")
            if name.lower() == "title":
                return 0
            if heading := _HEADING.fullmatch(name):
                return int(heading[1])
            if (said := _value(style, f"{W}pPr/{W}outlineLvl")) is not None:
                return _level(said)
        return None

    def numbering(self, paragraph: Any) -> Place | None:
        """The list that it stands in, of its own or by its style."""
        for one in (paragraph, *self._chain(paragraph)):
            if (place := one.find(f"{W}pPr/{W}numPr")) is not None:
                number = _value(place, W + "numId")
                level = _value(place, W + "ilvl") or "0"
                if number is not None:
                    return number, int(level) if level.isdigit() and len(level) == 1 else 0
        return None

    def _chain(self, paragraph: Any) -> list[Any]:
        """Its style and those that is based on."""
        found: list[Any] = []
        identifier = _value(paragraph, f"{W}pPr/{W}pStyle")
        while identifier in self._styles and len(found) < MAX_CHAIN:
            found.append(self._styles[identifier])
            identifier = _value(found[-1], W + "basedOn")
        return found


class Numbers:
    """Counts the lists of a document as its paragraphs come."""

    def __init__(self, tree: Any) -> None:
        abstract = {}
        self._lists: dict[str, tuple[str, dict[int, tuple[str, str, int]]]] = {}
        self._counts: dict[str, list[int]] = {}
        for one in tree.iter(W + "abstractNum") if tree is not None else ():
            abstract[one.get(W + "abstractNumId")] = dict(_levels(one))
        for one in tree.iter(W + "num") if tree is not None else ():
            kind = _value(one, W + "abstractNumId") or ""
            identifier = str(one.get(W + "numId"))
            begins_anew = one.find(f"{W}lvlOverride/{W}startOverride") is not None
            counted_as = f"num {identifier}" if begins_anew else kind
            self._lists[identifier] = (counted_as, abstract.get(kind, {}) | dict(_overrides(one)))

    def of(self, place: Place | None) -> tuple[str, str]:
        """What stands before the next paragraph of that list, and how far it is set in."""
        if place is None or place[0] not in self._lists:
            return "", ""
        counted_as, levels = self._lists[place[0]]
        level = place[1]
        if level not in levels:
            return "", ""
        counts = self._counts.setdefault(counted_as, [0] * LEVELS)
        counts[level] = counts[level] + 1 if counts[level] else levels[level][2]
        counts[level + 1 :] = [0] * (LEVELS - level - 1)
        form, text, _ = levels[level]
        if form == "bullet":
            return "-", "  " * level

        def number(match: re.Match[str]) -> str:
            at = int(match[1]) - 1
            if not 0 <= at < LEVELS:
                return ""
            first = levels[at][2] if at in levels else 1
            return _written(counts[at] or first, levels[at][0] if at in levels else "decimal")

        return _PLACE.sub(number, text).strip(), "  " * level


def _levels(abstract: Any) -> list[tuple[int, tuple[str, str, int]]]:
    """The form, the text and the first number of each level."""
    found = []
    for one in abstract.iter(W + "lvl"):
        level, start = str(one.get(W + "ilvl")), _value(one, W + "start") or "1"
        if level.isdigit() and int(level) < LEVELS:
            form = _value(one, W + "numFmt") or "decimal"
            first = int(start) if start.isdigit() and len(start) < 9 else 1
            found.append((int(level), (form, (_value(one, W + "lvlText") or "")[:40], first)))
    return found


def _overrides(number: Any) -> list[tuple[int, tuple[str, str, int]]]:
    return [one for override in number.iter(W + "lvlOverride") for one in _levels(override)]


def _written(number: int, form: str) -> str:
    if form in {"lowerLetter", "upperLetter"} and 0 < number < 1000:
        letter = chr(ord("a") + (number - 1) % 26) * ((number - 1) // 26 + 1)
        return letter.upper() if form == "upperLetter" else letter
    if form in {"lowerRoman", "upperRoman"} and 0 < number < 4000:
        roman = ""
        for value, letters in _ROMAN:
            roman += letters * (number // value)
            number %= value
        return roman.upper() if form == "upperRoman" else roman
    return "" if form == "none" else str(number)


def _level(said: str) -> int | None:
    """Levels count from 0, and 9 is text."""
    return int(said) + 1 if said.isdigit() and int(said) < LEVELS else None


def _value(element: Any, path: str) -> str | None:
    found = element.find(path)
    return None if found is None else found.get(W + "val")
