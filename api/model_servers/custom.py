"""Serves a class of the operator's own: `python -m api.model_servers.custom CONFIG [--host H] [--port P]`.

    {"folder": "/srv/models", "class": "parrots:Parrot", "arguments": {"words": 3}}

    class Parrot:
        def init(self, words=1): ...                    # once, with `arguments`
        def generate(self, messages, max_tokens=None):  # a text, or its pieces; the options that it names
            yield messages[-1]["content"]

In the class may stand `at_once`, how many answers it writes side by side (1), `context_length`, and `stuck_seconds`,
how long it may go on after a client has left (30): then its process ends.
"""

import importlib
import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from api.model_servers.wire import main
from api.model_servers.writing import SAMPLING, End, Refused, Writing


class Custom:
    """`Writer` over an instance of such a class."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.name = str(config["class"])
        module, _, attribute = self.name.partition(":")
        sys.path.insert(0, str(config["folder"]))
        self._model = getattr(importlib.import_module(module), attribute)()
        if hasattr(self._model, "init"):
            self._model.init(**config.get("arguments", {}))
        self.takes = _named(self._model.generate)
        self.at_once = int(getattr(self._model, "at_once", 1))
        self.stuck_seconds = float(getattr(self._model, "stuck_seconds", 30.0))
        self.context_length = int(getattr(self._model, "context_length", 0))

    def chat(self, messages: list[dict[str, Any]], options: Mapping[str, Any]) -> Writing:
        """What its `generate` gives."""
        chosen = {name: value for name, value in options.items() if name in self.takes}
        yield from _texts(self._model.generate(messages, **chosen))
        yield End()

    def complete(self, prompt: str | list[int], options: Mapping[str, Any]) -> Writing:  # noqa: ARG002
        """A class is asked conversations alone."""
        raise Refused("A class of one's own goes on with no text. Send it as a conversation.", 404)

    def tokens(self, said: Mapping[str, Any]) -> list[int]:  # noqa: ARG002
        """Nobody knows them."""
        raise Refused("A class of one's own counts no tokens.", 404)


def _named(generate: Any) -> frozenset[str]:
    """The options that it takes: those that it names, or all."""
    known = SAMPLING | {"stop"}
    parameters = inspect.signature(generate).parameters
    if any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        return known
    return frozenset(known & parameters.keys())


def _texts(given: Any) -> Iterator[str]:
    if isinstance(given, str):
        yield given
        return
    if not isinstance(given, Iterable) or isinstance(given, (bytes, Mapping)):
        raise TypeError(
            f"generate gave {_article(given)}; it has to give a text, or texts one by one."
        )
    for piece in given:
        if not isinstance(piece, str):
            raise TypeError(f"generate gave {_article(piece)} as a piece; each has to be a text.")
        yield piece


def _article(value: Any) -> str:
    return "nothing" if value is None else f"a value of the type {type(value).__name__}"


if __name__ == "__main__":
    main(Custom)
