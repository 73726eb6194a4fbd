"""Values of every kind an attribute can have, as they stand in a sentence."""

from collections.abc import Callable

from examples.recipe.words import COLOURS, DAYS, KINDS, MONTHS, THINGS, WORDS, Draw

UNITS: dict[str, list[str]] = WORDS["units"]
NUMBERWORDS: list[str] = WORDS["number_words"]
MATERIALS: list[str] = WORDS["materials"]


def draw_value(draw: Draw, kind: str) -> str:
    """A fresh value of the kind."""
    if kind in UNITS:
        return draw.fresh(lambda: _measure(draw, kind))
    return draw.fresh(lambda: MAKERS[kind](draw))


def _measure(draw: Draw, kind: str) -> str:
    r = draw.random
    return f"{r.randint(2, r.choice((99, 999)))} {r.choice(UNITS[kind])}"


def _money(draw: Draw) -> str:
    r = draw.random
    amount = (
        str(r.randint(2, 999))
        if r.random() < 0.75
        else f"{r.randint(1, 99)},{r.randint(0, 999):03}"
    )
    if r.random() < 0.15:
        amount = f"{r.randint(1, 99)}.{r.randint(0, 99):02}"
    if r.random() < 0.2:
        return "$" + amount
    return f"{amount} {r.choice(('euros', 'euros', 'dollars', 'francs'))}"


def _number(draw: Draw) -> str:
    r = draw.random
    return str(r.randint(2, r.choice((9, 99, 999, 9999))))


def _time(draw: Draw) -> str:
    r = draw.random
    clock = f"{r.randint(1, 23)}:{r.choice(('00', '15', '30', '45', '10', '50'))}"
    if r.random() < 0.7:
        return clock
    return f"{r.randint(1, 12)} {r.choice(('am', 'pm', 'o' + chr(39) + 'clock'))}"


def _date(draw: Draw) -> str:
    r = draw.random
    month, day = r.choice(MONTHS), r.randint(1, 28)
    return r.choice((f"{day} {month}", f"{month} {day}", f"{day} {month} {r.randint(1980, 2035)}"))


def _year(draw: Draw) -> str:
    return str(draw.random.randint(1700, 2035))


def _day(draw: Draw) -> str:
    r = draw.random
    if r.random() < 0.6:
        return r.choice(DAYS)
    return f"the {r.choice(('first', 'second', 'third', 'last'))} {r.choice(DAYS)}"


def _span(draw: Draw) -> str:
    r = draw.random
    many = str(r.randint(2, 90)) if r.random() < 0.7 else r.choice(NUMBERWORDS)
    units = ("minutes", "hours", "days", "weeks", "months", "years", "working days")
    return f"{many} {r.choice(units)}"


def _percent(draw: Draw) -> str:
    r = draw.random
    text = f"{r.randint(1, 99)} {r.choice(('percent', 'percent', '%'))}"
    return text.replace(" %", "%")


def _place(draw: Draw) -> str:
    r = draw.random
    floors = ("first", "second", "third", "fourth", "top", "ground")
    return r.choice(
        (
            f"room {r.randint(1, 499)}",
            f"building {r.choice('ABCDEFGH')}",
            draw.raw_word().capitalize(),
            f"the {r.choice(COLOURS)} {r.choice(THINGS)}",
            f"the {r.choice(KINDS)} {r.choice(THINGS)}",
            f"the {r.choice(floors)} floor",
            f"{r.randint(1, 99)} {draw.raw_word().capitalize()} Street",
        )
    )


def _mail(draw: Draw) -> str:
    ends = ("com", "org", "example", "net")
    return f"{draw.raw_word()}@{draw.raw_word()}.{draw.random.choice(ends)}"


def _phone(draw: Draw) -> str:
    r = draw.random
    if r.random() < 0.6:
        return f"{r.randint(100, 999)} {r.randint(0, 9999):04}"
    return str(r.randint(1000, 9999))


def _code(draw: Draw) -> str:
    r = draw.random
    return r.choice(
        (
            draw.code(),
            f"{draw.raw_word()}-{draw.raw_word()}",
            f"{draw.raw_word()}{r.randint(1, 999)}",
        )
    )


def _colour(draw: Draw) -> str:
    r = draw.random
    if r.random() < 0.6:
        return r.choice(COLOURS[:13])
    return f"{r.choice(COLOURS[13:])} {r.choice(COLOURS[:13])}"


def _object(draw: Draw) -> str:
    r = draw.random
    if r.random() < 0.6:
        return f"a {r.choice(COLOURS + KINDS[:20])} {r.choice(THINGS)}"
    return draw.thing()


def _name(draw: Draw) -> str:
    return draw.raw_word().capitalize()


MAKERS: dict[str, Callable[[Draw], str]] = {
    "money": _money,
    "number": _number,
    "time": _time,
    "date": _date,
    "year": _year,
    "day": _day,
    "span": _span,
    "percent": _percent,
    "person": Draw.person,
    "place": _place,
    "mail": _mail,
    "phone": _phone,
    "code": _code,
    "colour": _colour,
    "material": lambda draw: draw.random.choice(MATERIALS),
    "object": _object,
    "name": _name,
    "word": Draw.raw_word,
}
