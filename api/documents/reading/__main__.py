"""The process that forks a child for each document, with the reader of PDFs imported; `fork_server.py` asks it.

    python -P -s -m api.documents.reading DESCRIPTOR

DESCRIPTOR is a socket, over which come two more for each child: one on which it reads its request and writes its answer
(`requested.py`), and one on which it is said how it has ended, or is ended when that is closed at the other side. The
server sees nothing of a document, nor of its password: neither can reach another one.
"""

import gc
import os
import select
import signal
import socket
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NoReturn

import pypdfium2  # noqa: F401  the children have it

from api.documents.reading import outline, pdf, pdf_extras, pdfium_page  # noqa: F401
from api.documents.reading.requested import answer
from finetune.job.launch import bind

Children = dict[socket.socket, int]
"""The process of each that reads a document, by the socket over which we say how it has ended."""


def main(descriptor: int) -> None:
    """Serve until the other end closes and the last child has ended."""
    line = socket.socket(fileno=descriptor)
    woken, wake = socket.socketpair()
    wake.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno())
    children: Children = {}
    is_open = True
    ours = [line, woken, wake]
    while is_open or children:
        watched = [woken, *([line] if is_open else []), *children]
        ready, _, _ = select.select(watched, [], [])
        for control in children.keys() & ready:
            os.kill(children[control], signal.SIGKILL)
        if woken in ready:
            woken.recv(4096)
        _tell(children)
        if line in ready:
            is_open = _take(line, children, ours)


def _take(line: socket.socket, children: Children, ours: Sequence[socket.socket]) -> bool:
    """Fork a child; whether there was a request for one."""
    _, ends, _, _ = socket.recv_fds(line, 1, 2)
    if not ends:
        return False
    answers, control = (socket.socket(fileno=end) for end in ends)
    us = os.getpid()
    child = os.fork()
    if child == 0:
        _become(answers, us, [*ours, *children, control])
    answers.close()
    children[control] = child
    return True


def _tell(children: Children) -> None:
    """Say of each that has ended how."""
    for control, child in list(children.items()):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            with suppress(OSError):  # nobody waits for it any more
                control.sendall(str(os.waitstatus_to_exitcode(status)).encode())
            control.close()
            del children[control]


def _become(answers: socket.socket, parent: int, parents: Iterable[socket.socket]) -> NoReturn:
    """Be the child: it has nothing of the server's but what is imported."""
    try:
        bind(parent, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for one in parents:
            one.close()
        os.dup2(answers.fileno(), 0)
        os.dup2(answers.fileno(), 1)
        answers.close()
        gc.freeze()
        answer()
        os._exit(0)  # a parser's own clean-up after a hostile file is not worth the risk
    finally:
        os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
