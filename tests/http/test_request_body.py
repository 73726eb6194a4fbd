"""A body that does not come in time."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from fastapi import Request

from api.errors import BadRequest, TooSlow
from api.http.request_body import MAX_VALUES, read_body

pytestmark = pytest.mark.anyio
SCOPE = {"type": "http", "method": "POST", "query_string": b""}
FORM = b"multipart/form-data; boundary=b"


class SlowClient:
    """Sends its first piece at once, the others with pauses; then it ends, drips on for ever, or stops."""

    def __init__(self, *pieces: bytes, then: str) -> None:
        self._pieces = list(pieces)
        self._then = then
        self._has_begun = False

    async def receive(self) -> dict[str, Any]:
        """The next piece of the body."""
        if self._has_begun:
            await asyncio.sleep(0.001)
        self._has_begun = True
        if not self._pieces and self._then == "stops":
            await asyncio.sleep(3600)
        body = self._pieces.pop(0) if self._pieces else b"x"
        goes_on = bool(self._pieces) or self._then != "ends"
        return {"type": "http.request", "body": body, "more_body": goes_on}


@pytest.mark.parametrize("content_type", [b"application/json", FORM])
@pytest.mark.parametrize("then", ["stops", "drips"])
async def test_a_body_that_stops_or_drips_is_given_up(content_type: bytes, then: str) -> None:
    client = SlowClient(b"--b\r\n", then=then)
    request = Request({**SCOPE, "headers": [(b"content-type", content_type)]}, client.receive)
    with pytest.raises(TooSlow):
        await read_body(request, max_bytes=10**6, patience_seconds=0.05)


async def test_a_body_that_comes_fast_enough_may_take_longer() -> None:
    client = SlowClient(b'{"a": "' + b"x" * 10**6, *[b"x"] * 50, b'"}', then="ends")
    headers = [(b"content-type", b"application/json")]
    request = Request({**SCOPE, "headers": headers}, client.receive)
    body = await read_body(request, max_bytes=10**7, patience_seconds=0.02)
    assert len(body.members["a"]) == 10**6 + 50


async def received(content: bytes) -> Mapping[str, Any]:
    client = SlowClient(content, then="ends")
    headers = [(b"content-type", b"application/json")]
    request = Request({**SCOPE, "headers": headers}, client.receive)
    return (await read_body(request, max_bytes=10**8)).members


@pytest.mark.parametrize(
    "values",
    [b"[" + b"1," * MAX_VALUES + b"1]", b"[" + b"{}," * MAX_VALUES + b"1]", b'"",' * 250_000],
)
async def test_json_of_too_many_values_is_refused_before_it_is_read(values: bytes) -> None:
    with pytest.raises(BadRequest, match="more than 200000 values"):
        await received(b'{"a": ' + values + b"}")


async def test_commas_and_brackets_in_a_text_are_no_values() -> None:
    text = r"\"[{," * MAX_VALUES
    assert await received(b'{"a": "' + text.encode() + b'"}') == {"a": '"[{,' * MAX_VALUES}
    with pytest.raises(BadRequest, match="not JSON"):
        await received(b'{"a": "' + text.encode())
