"""What every child process begins as: it binds itself to its parent and to its limits, then becomes its command.

    python -I -S launch.py PARENT SIGNAL [LIMIT:SOFT:HARD ...] -- COMMAND ...

Run by path (`child_process.bound` writes the command line). In the child, because nothing of a parent with threads may
run between a fork and an exec. A child that is forked by a process without threads, and becomes no other command, calls
`bind` and `limit` itself.
"""

import ctypes
import os
import resource
import sys
from collections.abc import Iterable

PR_SET_PDEATHSIG = 1
EXIT_ORPHAN = 4
EXIT_NO_COMMAND = 127


def main(parent: str, ending: str, *rest: str) -> None:
    """Be the command from here on; its parent's end is the signal `ending` (Linux)."""
    limits, command = rest[: rest.index("--")], rest[rest.index("--") + 1 :]
    bind(int(parent), int(ending))
    limit(limits)
    try:
        os.execvp(command[0], command)  # noqa: S606  it is ours
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be started: {error.strerror}.\n")
        sys.exit(EXIT_NO_COMMAND)


def bind(parent: int, ending: int) -> None:
    """Get the signal when the parent, or the thread of it that has started us, is gone (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ending, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(EXIT_ORPHAN)


def limit(limits: Iterable[str]) -> None:
    """Live within these from here on, each as `child_process.Limits` writes it."""
    for one in limits:
        name, soft, hard = one.split(":")
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (int(soft), int(hard)))


if __name__ == "__main__":
    main(*sys.argv[1:])
