"""Names, numbers and things for the demo model's text, drawn fresh for every sample from `words.toml`.

A share of all drawn strings is reserved for measuring: training never sees them, so an exact answer about one of
them was read from the passage and not remembered.
"""

import tomllib
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random

WORDS = tomllib.loads(Path(__file__).with_name("words.toml").read_text())

ONSETS: list[str] = WORDS["onsets"]
VOWELS: list[str] = WORDS["vowels"]
CODAS: list[str] = WORDS["codas"]
ENDINGS: list[str] = WORDS["endings"]
RUDE: list[str] = WORDS["rude"]
FIRST: list[str] = WORDS["first"]
DAYS: list[str] = WORDS["days"]
MONTHS: list[str] = WORDS["months"]
COLOURS: list[str] = WORDS["colours"]
KINDS: list[str] = WORDS["kinds"]
THINGS: list[str] = WORDS["things"]
PEOPLE: list[str] = WORDS["people"]
NOUNS: list[str] = WORDS["nouns"]


def reserved(text: str) -> bool:
    """Whether a drawn string is kept for measuring: about one in eight, the same ones everywhere."""
    return zlib.crc32(text.encode()) % 8 == 0


class Draw:
    """Draws fresh words; `held_out` draws only reserved strings, else only the others."""

    def __init__(self, random: Random, held_out: bool = False) -> None:
        self.random = random
        self.held_out = held_out

    def fresh(self, make: Callable[[], str]) -> str:
        """What `make` makes, made again until it is on the right side and fit to be read."""
        for _ in range(200):
            text = make()
            if reserved(text) == self.held_out and not any(rude in text.lower() for rude in RUDE):
                break
        return text

    def raw_word(self) -> str:
        """An invented word that may be on either side."""
        r = self.random
        text = "".join(
            r.choice(ONSETS) + r.choice(VOWELS) + r.choice(CODAS)
            for _ in range(r.choice((1, 1, 2)))
        )
        return text + r.choice(ENDINGS) if r.random() < 0.5 else text

    def word(self) -> str:
        """An invented lower-case word."""
        return self.fresh(self.raw_word)

    def name(self) -> str:
        """An invented name of one or two words."""
        count = 2 if self.random.random() < 0.2 else 1
        return self.fresh(lambda: " ".join(self.raw_word().capitalize() for _ in range(count)))

    def person(self) -> str:
        """A first name and an invented surname."""
        return self.fresh(self._person)

    def _person(self) -> str:
        r = self.random
        first = r.choice(FIRST) if r.random() < 0.7 else self.raw_word().capitalize()
        return f"{first} {self.raw_word().capitalize()}"

    def code(self) -> str:
        """A code such as `KX-204`."""
        r = self.random
        letters = "".join(
            r.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(r.choice((1, 2, 2, 3)))
        )
        return self.fresh(lambda: f"{letters}{r.choice('- -')}{r.randint(1, 999)}".replace(" ", ""))

    def thing(self) -> str:
        """A thing with its article, such as `the parking pass`."""
        return self.fresh(self._thing)

    def _thing(self) -> str:
        r = self.random
        shape = r.random()
        if shape < 0.55:
            return f"the {r.choice(KINDS)} {r.choice(THINGS)}"
        if shape < 0.75:
            return f"the {r.choice(THINGS)}"
        if shape < 0.85:
            return f"the {self.raw_word()} {r.choice(THINGS)}"
        if shape < 0.93:
            return f"the {self.raw_word().capitalize()} {r.choice(THINGS)}"
        return f"the {r.choice(COLOURS)} {r.choice(THINGS)}"

    def entity(self) -> str:
        """Whatever a passage can be about."""
        r = self.random.random()
        if r < 0.42:
            return self.thing()
        if r < 0.8:
            return self.name()
        return self.person() if r < 0.9 else self.code()

    def near(self, entity: str) -> str:
        """Another thing that is easily taken for this one: it shares a word where that is possible."""
        r = self.random
        words = entity.split(" ")
        if len(words) == 3 and words[0] == "the":
            if r.random() < 0.5:
                return f"the {words[1]} {r.choice(THINGS)}"
            return f"the {r.choice(KINDS)} {words[2]}"
        if len(words) == 2 and words[0] != "the":
            return f"{words[0]} {self.raw_word().capitalize()}"
        return self.thing() if words[0] == "the" else self.name()

    def number(self, low: int, high: int) -> str:
        """A number, more often a small one."""
        r = self.random
        top = r.choice((9, 99, 999, high))
        return self.fresh(lambda: str(r.randint(low, max(low, min(top, high)))))

    def document(self) -> str:
        """A document's name as it is cited, without `.pdf`."""
        r = self.random
        stem = r.choice(
            (
                r.choice(THINGS),
                self.raw_word(),
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
