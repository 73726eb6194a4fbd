"""A request that nobody sends over the wire: the service asks itself, in the name of a key, behind all other requests.

It takes the way of every request from the key on: limits, scope, models, usage, the log and the form of a refusal.
"""

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive

from api.batches.values import Answer, Ask
from api.http.key_check import INSIDE
from api.http.observe import REQUEST_ID


def asking(app: ASGIApp) -> Ask:
    """Sends requests to an app that is there for what has passed the gate."""

    async def ask(key_id: str, path: str, body: bytes) -> Answer:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
            ],
            "client": None,
            "state": {INSIDE: key_id},
        }
        await app(scope, _receiving(body), send)
        return _answer(sent)

    return ask


def _receiving(body: bytes) -> Receive:
    """The body, and then nothing: who asks is never gone."""
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if not parts:
            await asyncio.Event().wait()
        return parts.pop()

    return receive


def _answer(sent: list[Message]) -> Answer:
    headers = Headers(raw=sent[0]["headers"])
    later = headers.get("retry-after")
    return Answer(
        sent[0]["status"],
        headers[REQUEST_ID],
        b"".join(part.get("body", b"") for part in sent[1:]),
        None if later is None else float(later),
    )
