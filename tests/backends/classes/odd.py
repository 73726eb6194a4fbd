"""Classes as users write them: those that work, and one that does wrong what it is told to."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any


class Parrot:
    """Says what was said, word by word; some words are slow, and a path is waited for."""

    stuck_seconds = 0.5

    def init(self, ending: str = "") -> None:
        """Once."""
        self.ending = ending

    def generate(
        self, messages: list[dict[str, str]], temperature: float | None = None
    ) -> Iterator[str]:
        """In pieces."""
        for message in messages:
            for word in message["content"].split():
                time.sleep(0.3 * (word == "slow"))
                wait_for(word)
                yield f"{word} "
        yield self.ending if temperature is None else str(temperature)


class Waits(Parrot):
    """Loads until a file is there."""

    def init(self, ending: str = "") -> None:
        """Once, with the file's path."""
        wait_for(ending)
        self.ending = "!"


class Odd(Parrot):
    """Does what its last message says."""

    def generate(  # type: ignore[override]  # what it must not be is what is shown
        self, messages: list[dict[str, str]], **options: Any
    ) -> Any:
        """As a text, as pieces, or as it must not be."""
        does = WRONG.get(messages[-1]["content"])
        return does() if does else f"{messages[-1]['content']} {sorted(options)}"


class StartsLate(Parrot):
    """Loads for longer than anybody waits."""

    def init(self, ending: str = "") -> None:
        """For long."""
        time.sleep(600)


class NeverStarts(Parrot):
    """Fails while it is loaded."""

    def init(self, ending: str = "") -> None:
        """Once."""
        print("Loading the weights.")
        raise RuntimeError("no weights here")


def wait_for(word: str) -> None:
    """Until it is there, if it is a file's path."""
    while word.startswith("/") and not os.path.exists(word):
        time.sleep(0.02)


def raises() -> str:
    raise ValueError("no words today")


def raises_later() -> Iterator[str]:
    yield "well "
    raise KeyError("lost")


def exits() -> str:
    raise SystemExit(3)


def dies() -> Iterator[str]:
    yield "well "
    print("No room for any more words.", flush=True)
    os._exit(9)


def hangs() -> Iterator[str]:
    time.sleep(600)
    yield "well "


def prints_much() -> str:
    for _ in range(40):
        print("x" * 99_999)
    print("The last line.", flush=True)
    return "done"


WRONG: Mapping[str, Callable[[], Any]] = {
    "raise": raises,
    "raise later": raises_later,
    "exit": exits,
    "die": dies,
    "hang": hangs,
    "print": prints_much,
    "give nothing": lambda: None,
    "give a number": lambda: 42,
    "give numbers": lambda: iter([1, 2]),
    "give a dictionary": dict,
}
