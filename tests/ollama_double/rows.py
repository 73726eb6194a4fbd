"""What a real server answered, request by request: the double must say the same.

In a row, `@good` stands for the digest of the uploaded demo model, and so on for the other uploads of the test; `BLOBS`
for the folder of blobs. Models: `demo` (Jinja), `turns` (Go template), `embedder`.
"""

import base64
from dataclasses import dataclass, field
from typing import Any

JSON = dict[str, Any]
HI = [{"role": "user", "content": "Hi"}]
SHORT = {"temperature": 0, "seed": 1, "num_predict": 3}
TOOL = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object", "properties": {}}},
}
PICTURE = base64.b64encode(b"\x89PNG\r\n").decode()
ABSENT = "sha256:" + "0" * 64


@dataclass(frozen=True)
class Row:
    """One request and its answer. A body that is a dict is JSON; `lines` are those of a stream."""

    name: str
    path: str
    status: int
    request: JSON | bytes | None = None
    body: JSON | str | None = None
    lines: list[JSON] | None = None
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)


def refused(
    name: str, path: str, request: JSON | bytes, status: int, text: str, **more: Any
) -> Row:
    """A request that ends in an error before anything else."""
    return Row(name, path, status, request, {"error": text}, **more)


def broken(name: str, path: str, request: JSON, status: int, text: str, *before: JSON) -> list[Row]:
    """A request whose error comes after the first line: as a stream status 200, else `status`."""
    lines = [*before, {"error": text}]
    return [
        Row(f"{name}, streamed", path, 200, request, lines=lines),
        refused(f"{name}, whole", path, {**request, "stream": False}, status, text),
    ]


_POSTS = ("chat", "generate", "embed", "show", "create", "copy", "pull")
GENERAL = [
    Row("the root", "/", 200, body="Ollama is running", method="GET"),
    Row("the root's head", "/", 200, body="", method="HEAD"),
    Row("an unknown path", "/api/nope", 404, body="404 page not found", method="GET"),
    Row("a wrong method", "/api/tags", 405, body="405 method not allowed"),
    Row("a wrong method to chat", "/api/chat", 405, body="405 method not allowed", method="GET"),
    Row(
        "a foreign host", "/api/tags", 403, body="", method="GET", headers={"host": "evil.example"}
    ),
    Row(
        "a foreign origin",
        "/api/tags",
        403,
        body="",
        method="GET",
        headers={"origin": "http://evil.example"},
    ),
    Row("the version", "/api/version", 200, body={"version": "0.32.15"}, method="GET"),
    *(
        refused(f"no body to {name}", f"/api/{name}", b"", 400, "missing request body")
        for name in _POSTS
    ),
    refused("half a body", "/api/chat", b'{"model": "de', 400, "unexpected EOF"),
    refused(
        *("a word as body", "/api/chat", b"bad", 400),
        "invalid character 'b' looking for beginning of value",
    ),
    refused(
        *("a word as key", "/api/chat", b"{bad: 1}", 400),
        "invalid character 'b' looking for beginning of object key string",
    ),
    refused(
        *("a number as model", "/api/chat", {"model": 5}, 400),
        "json: cannot unmarshal number into Go struct field ChatRequest.model of type string",
    ),
    refused(
        *("a list as body", "/api/chat", b"[]", 400),
        "json: cannot unmarshal array into Go value of type api.ChatRequest",
    ),
    refused("what is left out", "/api/push", {"model": "demo"}, 501, "the double leaves this out"),
    refused("the other API", "/v1/chat/completions", {}, 501, "the double leaves this out"),
]

_BAD_DIGEST = {"error": "invalid digest format"}
BLOBS = [
    Row("a blob that is there", "/api/blobs/@good", 200, body="", method="HEAD"),
    Row("a blob that is absent", f"/api/blobs/{ABSENT}", 404, body="", method="HEAD"),
    Row("a short digest's head", "/api/blobs/sha256:abc", 400, body="", method="HEAD"),
    Row("a short digest", "/api/blobs/sha256:abc", 400, b"x", _BAD_DIGEST),
    Row("another digest", "/api/blobs/md5:" + "0" * 32, 400, b"x", _BAD_DIGEST),
    Row("reading a blob", "/api/blobs/@good", 405, body="405 method not allowed", method="GET"),
]
