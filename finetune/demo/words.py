"""Names, numbers and things for the demo model's text, drawn fresh for every sample.

A share of all drawn strings is reserved for measuring: training never sees them, so an exact answer about one of
them was read from the passage and not remembered.
"""

import zlib
from collections.abc import Callable
from random import Random

ONSETS = "b br c ch cl d dr f fl g gl gr h j k kl l m n p pl pr qu r s sh sk sl st t th tr v w y z".split()
VOWELS = "a e i o u a e i o u ai ea ee ia io oa oo ou".split()
CODAS = " l m n r s t x nd rk lt ns st th sk ck rn".split(" ")
ENDINGS = "a o us ia en is or el in ia ova ek um ys ane berg dorf ton ville land ham more".split()

FIRST = (
    "Ada Anna Ben Carla Clara David Elif Emma Erik Fatima George Hana Ines Ivan Jana John Julia Karim Laura Leo Lina "
    "Lucy Maria Mark Mei Mila Nina Noah Olga Omar Paul Peter Rosa Sam Sara Sofia Thomas Tim Victor Yuki"
).split()
MONTHS = (
    "January February March April May June July August September October November December"
).split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
COLOURS = "red blue green yellow white black brown grey orange purple silver golden pink dark light bright pale".split()
MATERIALS = "wood steel glass paper cotton leather plastic stone copper wool clay rubber iron silk bronze".split()
KINDS = (
    "parking travel visitor company office staff winter summer guest library kitchen safety health sports meeting "
    "project training delivery repair cleaning garden music night weekend first-aid key fire server print mail "
    "welcome annual monthly weekly new old main small large second spare shared external sales customer research"
).split()
THINGS = (
    "pass card form badge key ticket desk room car bicycle laptop phone printer budget report course workshop meeting "
    "lunch bonus allowance insurance contract invoice order locker bus shuttle hall lab garage cafeteria store team "
    "desk club account portal server network door lift alarm drill shift break leave policy plan programme event "
    "party newsletter survey manual guide box shelf machine kit uniform helmet chair screen tool fund loan award "
    "reception gate yard warehouse archive kitchen gym pool school museum bridge tower ship train garden"
).split()
PEOPLE = (
    "employees visitors drivers managers students trainees members guests interns suppliers customers teachers "
    "engineers nurses players cooks cleaners volunteers residents readers staff contractors apprentices parents"
).split()
UNITS = {
    "mass": ("kg", "grams", "tonnes", "kilograms", "pounds"),
    "measure": ("metres", "kilometres", "centimetres", "miles", "feet", "litres", "watts"),
    "area": ("square metres", "square kilometres", "hectares", "acres"),
    "degrees": ("degrees",),
    "years": ("years",),
    "times": ("times",),
    "speed": ("kilometres per hour", "miles per hour", "metres per second"),
}
NUMBER_WORDS = "two three four five six seven eight nine ten twelve fifteen twenty thirty".split()
NOUNS = (
    "rate index factor class level grade score mark rank count tone limit load share margin rating group type "
    "series phase signal label sign stamp quota ratio term step unit value code number name"
).split()


# Syllables may meet in words that nobody wants to read in an example.
RUDE = (
    "shit",
    "fuck",
    "cunt",
    "cock",
    "dick",
    "nazi",
    "slut",
    "piss",
    "arse",
    "rape",
    "tit",
    "fag",
    "crap",
    "whor",
    "nig",
    "sex",
)


def reserved(text: str) -> bool:
    """Whether a drawn string is kept for measuring: about one in eight, the same ones on every machine."""
    return zlib.crc32(text.encode()) % 8 == 0


class Draw:
    """Draws fresh words; `held_out` draws only reserved strings, else only the others."""

    def __init__(self, random: Random, held_out: bool = False) -> None:
        self.random = random
        self.held_out = held_out

    def _fresh(self, make: Callable[[], str]) -> str:
        for _ in range(200):
            text = make()
            if reserved(text) == self.held_out and not any(rude in text.lower() for rude in RUDE):
                break
        return text

    def syllable(self) -> str:
        return self.random.choice(ONSETS) + self.random.choice(VOWELS) + self.random.choice(CODAS)

    def _word(self) -> str:
        r = self.random
        text = "".join(self.syllable() for _ in range(r.choice((1, 1, 2))))
        return text + r.choice(ENDINGS) if r.random() < 0.5 else text

    def word(self) -> str:
        """An invented lower-case word."""
        return self._fresh(self._word)

    def name(self) -> str:
        """An invented name of one or two words."""
        two = self.random.random() < 0.2
        return self._fresh(
            lambda: " ".join(self._word().capitalize() for _ in range(2 if two else 1))
        )

    def person(self) -> str:
        r = self.random
        return self._fresh(
            lambda: (
                (r.choice(FIRST) if r.random() < 0.7 else self._word().capitalize())
                + " "
                + self._word().capitalize()
            )
        )

    def code(self) -> str:
        r = self.random
        letters = "".join(
            r.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(r.choice((1, 2, 2, 3)))
        )
        return self._fresh(
            lambda: f"{letters}{r.choice('- -')}{r.randint(1, 999)}".replace(" ", "")
        )

    def thing(self) -> str:
        """A thing with its article, such as `the parking pass`."""
        r = self.random

        def make() -> str:
            shape = r.random()
            if shape < 0.55:
                return f"the {r.choice(KINDS)} {r.choice(THINGS)}"
            if shape < 0.75:
                return f"the {r.choice(THINGS)}"
            if shape < 0.85:
                return f"the {self._word()} {r.choice(THINGS)}"
            if shape < 0.93:
                return f"the {self._word().capitalize()} {r.choice(THINGS)}"
            return f"the {r.choice(COLOURS)} {r.choice(THINGS)}"

        return self._fresh(make)

    def entity(self) -> str:
        """Whatever a passage can be about."""
        r = self.random.random()
        if r < 0.42:
            return self.thing()
        if r < 0.8:
            return self.name()
        if r < 0.9:
            return self.person()
        return self.code()

    def near(self, entity: str) -> str:
        """Another entity that is easily mistaken for this one: it shares a word where that is possible."""
        r = self.random
        words = entity.split(" ")
        if len(words) == 3 and words[0] == "the":
            if r.random() < 0.5:
                return f"the {words[1]} {r.choice(THINGS)}"
            return f"the {r.choice(KINDS)} {words[2]}"
        if len(words) == 2 and words[0] != "the":
            return f"{words[0]} {self._word().capitalize()}"
        return self.thing() if words[0] == "the" else self.name()

    def number(self, low: int = 1, high: int = 9999) -> str:
        r = self.random
        top = r.choice((9, 99, 999, high))
        return self._fresh(lambda: str(r.randint(low, max(low, min(top, high)))))

    def value(self, kind: str) -> str:
        """A value of the given kind, as it stands in a sentence."""
        r = self.random
        return self._fresh(lambda: self._value(kind, r))

    def _value(self, kind: str, r: Random) -> str:
        if kind == "money":
            amount = (
                str(r.randint(2, 999))
                if r.random() < 0.75
                else f"{r.randint(1, 99)},{r.randint(0, 999):03}"
            )
            if r.random() < 0.15:
                amount = f"{r.randint(1, 99)}.{r.randint(0, 99):02}"
            return (
                "$" + amount
                if r.random() < 0.2
                else f"{amount} {r.choice(('euros', 'euros', 'dollars', 'francs'))}"
            )
        if kind == "number":
            return str(r.randint(2, r.choice((9, 99, 999, 9999))))
        if kind == "time":
            hour = r.randint(1, 23)
            clock = f"{hour}:{r.choice(('00', '15', '30', '45', '10', '50'))}"
            return (
                clock
                if r.random() < 0.7
                else f"{r.randint(1, 12)} {r.choice(('am', 'pm', 'o' + chr(39) + 'clock'))}"
            )
        if kind == "date":
            month, day = r.choice(MONTHS), r.randint(1, 28)
            return r.choice(
                (f"{day} {month}", f"{month} {day}", f"{day} {month} {r.randint(1980, 2035)}")
            )
        if kind == "year":
            return str(r.randint(1700, 2035))
        if kind == "day":
            return (
                r.choice(DAYS)
                if r.random() < 0.6
                else f"the {r.choice(('first', 'second', 'third', 'last'))} {r.choice(DAYS)}"
            )
        if kind == "span":
            many = str(r.randint(2, 90)) if r.random() < 0.7 else r.choice(NUMBER_WORDS)
            return f"{many} {r.choice(('minutes', 'hours', 'days', 'weeks', 'months', 'years', 'working days'))}"
        if kind in UNITS:
            return f"{r.randint(2, r.choice((99, 999)))} {r.choice(UNITS[kind])}"
        if kind == "percent":
            return f"{r.randint(1, 99)} {r.choice(('percent', 'percent', '%'))}".replace(" %", "%")
        if kind == "person":
            return self.person()
        if kind == "place":
            return r.choice(
                (
                    f"room {r.randint(1, 499)}",
                    f"building {r.choice('ABCDEFGH')}",
                    self._word().capitalize(),
                    f"the {r.choice(COLOURS)} {r.choice(THINGS)}",
                    f"the {r.choice(KINDS)} {r.choice(THINGS)}",
                    f"the {r.choice(('first', 'second', 'third', 'fourth', 'top', 'ground'))} floor",
                    f"{r.randint(1, 99)} {self._word().capitalize()} Street",
                )
            )
        if kind == "mail":
            return f"{self._word()}@{self._word()}.{r.choice(('com', 'org', 'example', 'net'))}"
        if kind == "phone":
            return (
                f"{r.randint(100, 999)} {r.randint(0, 9999):04}"
                if r.random() < 0.6
                else str(r.randint(1000, 9999))
            )
        if kind == "code":
            return r.choice(
                (
                    self.code(),
                    f"{self._word()}-{self._word()}",
                    f"{self._word()}{r.randint(1, 999)}",
                )
            )
        if kind == "colour":
            return (
                r.choice(COLOURS[:13])
                if r.random() < 0.6
                else f"{r.choice(COLOURS[13:])} {r.choice(COLOURS[:13])}"
            )
        if kind == "material":
            return r.choice(MATERIALS)
        if kind == "object":
            return (
                f"a {r.choice(COLOURS + KINDS[:20])} {r.choice(THINGS)}"
                if r.random() < 0.6
                else self.thing()
            )
        return self._word().capitalize() if kind == "name" else self._word()

    def document(self) -> str:
        """A document's name as it is cited, without `.pdf`."""
        r = self.random
        stem = r.choice(
            (
                r.choice(THINGS),
                self._word(),
                r.choice(KINDS) + r.choice("_-") + r.choice(THINGS),
                "handbook",
            )
        )
        return r.choice(
            (
                stem,
                stem,
                stem.capitalize(),
                f"{stem}_{r.randint(2015, 2030)}",
                f"{stem}-{r.randint(1, 9)}",
            )
        )
