"""Rows without an end, for the tests of how much is kept of them: `python -m tests.finetune.lint.many COUNT`."""

import resource
import sys
from collections.abc import Iterator

from finetune.data.rows import Chat, Conversation
from finetune.lint.linter import Linter


def many(count: int) -> Iterator[Chat]:
    """So many rows of half a kilobyte, all different."""
    for number in range(1, count + 1):
        turns: Conversation = [
            {"role": "user", "content": f"Where in the building is thing {number}?"},
            {"role": "assistant", "content": f"On floor {number % 17}, in room {number}. " * 20},
        ]
        yield Chat(number, turns)


def main() -> None:
    """Print how many findings there are, and how many MiB it took."""
    linter = Linter()
    linter.look("train", many(int(sys.argv[1])))
    found = len(linter.report().findings)
    sys.stdout.write(f"{found} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}\n")


if __name__ == "__main__":
    main()
