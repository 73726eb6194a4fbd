"""HTTP/1.1 as the server speaks it: bounded by h11, and clear to a client that does not speak it."""

import asyncio
import json
import sys
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.http.observe import REQUEST_ID, log
from api.http.problems import PROBLEM_JSON, stamped

MAX_HEAD_BYTES = 64 * 1024
PIECE_BYTES = 16 * 1024
TOO_LONG = (
    f"Path and headers may have {MAX_HEAD_BYTES} bytes. Send long texts as a form or as JSON."
)
HEAD_SECONDS = 30.0
"""Time a request line and its headers may take to arrive."""
GRACE_SECONDS = 1.0
MAX_UNREAD_BYTES = 2**30
"""What a refused body may go on sending, so that its client can read why; then the line is cut."""


class HttpProtocol(H11Protocol):
    """What is not HTTP gets a problem and the connection closed; who sends no end of it, nothing."""

    _deadline: asyncio.TimerHandle | None = None
    _unread_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._limit_time()

    def connection_lost(self, exc: Exception | None) -> None:
        """End to wait."""
        super().connection_lost(exc)
        self._unlimit_time()

    def data_received(self, data: bytes) -> None:
        """Take bytes, within bounds of time for a head and of size for a body that was refused."""
        if self._is_idle() and self.conn.their_state is h11.SEND_BODY:
            self._unread_bytes += len(data)
            if self._unread_bytes > MAX_UNREAD_BYTES:
                self.transport.abort()
        for start in range(0, len(data), PIECE_BYTES):  # h11 looks at its bound after each
            if not self.transport.is_closing():
                super().data_received(data[start : start + PIECE_BYTES])
        if not self._is_idle():
            self._unlimit_time()
        elif self._deadline is None:
            self._limit_time()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """Say what is wrong, unless an answer has begun; called while h11's error is handled."""
        error = sys.exception()
        too_long = isinstance(error, h11.RemoteProtocolError) and error.error_status_hint == 431
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            self._send_problem(
                *(
                    (431, "Too large", TOO_LONG)
                    if too_long
                    else (400, "Malformed request", "This is not a valid HTTP/1.1 request.")
                )
            )
        self.transport.close()

    def _send_problem(self, status: int, title: str, detail: str) -> None:
        problem: dict[str, Any] = {"type": "about:blank", "title": title, "status": status}
        problem = stamped({**problem, "detail": detail})
        id = problem["instance"].rpartition(":")[2]
        client = self.client[0] if self.client else "-"
        log(
            {
                "method": "-",
                "route": "-",
                "status": status,
                "id": id,
                "client": client,
                "problem": title,
            }
        )
        body = json.dumps(problem).encode()
        headers = [
            (REQUEST_ID.lower(), id),
            ("content-type", PROBLEM_JSON),
            ("content-length", str(len(body))),
            ("connection", "close"),
        ]
        for event in (
            h11.Response(status_code=status, headers=headers),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _limit_time(self) -> None:
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _unlimit_time(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        """Once more, for what has come may wait to be read while many others are answered."""
        self._deadline = self.loop.call_later(GRACE_SECONDS, self._close)

    def _close(self) -> None:
        self._deadline = None
        if self._is_idle():
            self.transport.close()
