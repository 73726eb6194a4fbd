"""Reads server-sent events as they come."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2


def server_events(response: httpx2.Response) -> Iterator[tuple[str, Any]]:
    """(event, data) of a stream, until it ends."""
    event, data = "message", ""
    for line in response.iter_lines():
        if line.startswith("event:"):
            event = line[6:].strip()
        elif line.startswith("data:"):
            data += line[5:].strip()
        elif not line and data:
            yield event, json.loads(data)
            event, data = "message", ""
