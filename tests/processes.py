"""The children of the process that tests, found by what they run."""

import contextlib

import psutil


def children_running(word: str, *, recursive: bool = False) -> list[psutil.Process]:
    """Those with `word` in their command; one that has ended, and is not waited for yet, has none."""
    found = []
    for child in psutil.Process().children(recursive=recursive):
        with contextlib.suppress(psutil.Error):
            if word in " ".join(child.cmdline()):
                found.append(child)
    return found
