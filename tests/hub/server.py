"""The hub in small: model info, tree, and files with ETag, commit, redirect to another host, and ranges.

    with Hub() as hub:
        hub.add("org/model", {"config.json": b"{}", "model.safetensors": weights})
        hub.cut("model.safetensors", 12_000_000)      # the connection ends there, once

Files that end in .safetensors, .gguf or .bin are large files: the hub redirects to another host for them, which
must not be sent a token. Requests are kept in `asked`.
"""

import hashlib
import json
import os
import re
import socket
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".gguf", ".bin")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass(frozen=True)
class Asked:
    """One request: which of the two hosts got it, and what it carried."""

    host: str
    method: str
    path: str
    range: str | None
    token: str | None


@dataclass
class Repository:
    """Files at one commit; whoever reads them needs one of `tokens`, if there are any."""

    files: Mapping[str, bytes]
    commit: str = COMMIT
    tokens: tuple[str, ...] = ()


@dataclass
class Hub:
    """Two hosts on loopback, the hub and its storage, for as long as the `with` lasts."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    cuts: dict[str, int] = field(default_factory=dict)
    resets: set[str] = field(default_factory=set)
    stalls: dict[str, int] = field(default_factory=dict)
    spoilt: set[str] = field(default_factory=set)

    def __enter__(self) -> "Hub":
        self._closing = threading.Event()
        self._servers = [_Server(("127.0.0.1", 0), _hub_of(self, host)) for host in HOSTS]
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._closing.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def url(self, host: str = "hub") -> str:
        """Where a host is."""
        return f"http://127.0.0.1:{self._servers[HOSTS.index(host)].server_port}"

    def add(self, name: str, files: Mapping[str, bytes], **more: Any) -> None:
        """A repository, in place of an earlier one."""
        self.repositories[name] = Repository(files, **more)

    def cut(self, file: str, at: int, *, reset: bool = False) -> None:
        """The next answer with this file ends after that many bytes of the file; `reset` as a router ends it."""
        self.cuts[file] = at
        if reset:
            self.resets.add(file)

    def stall(self, file: str, at: int) -> None:
        """The next answer with this file stands still after that many bytes of the file."""
        self.stalls[file] = at

    def wait_until_closed(self) -> None:
        """Stand still."""
        self._closing.wait()

    def asked_for(self, file: str) -> list[Asked]:
        """The requests that got bytes of a file."""
        return [one for one in self.asked if one.method == "GET" and one.path.endswith(f"/{file}")]


HOSTS = ("hub", "storage")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


def _hub_of(hub: Hub, host: str) -> type[BaseHTTPRequestHandler]:
    return type("Handler", (_Handler,), {"hub": hub, "host": host})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub
    host: str

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        carried = (self.headers["Range"], self.headers["Authorization"])
        self.hub.asked.append(Asked(self.host, self.command, path, *carried))
        if self.host == "storage":
            self._send_file(
                *self._split(path, r"/(?P<name>.+)/at/(?P<revision>[^/]+)/(?P<file>.+)")
            )
        elif path.startswith("/api/models/"):
            self._api(path)
        else:
            self._resolve(
                *self._split(path, r"/(?P<name>.+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
            )

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def _split(self, path: str, pattern: str) -> tuple[str, str, str]:
        found = re.fullmatch(pattern, path)
        return (found["name"], found["revision"], found["file"]) if found else ("", "", "")

    def _repository(self, name: str, revision: str) -> Repository | None:
        repository = self.hub.repositories.get(name)
        if repository is None:  # who is not known is not told whether it exists
            self._refuse(401, "RepoNotFound")
        elif revision not in ("main", repository.commit):
            self._refuse(404, "RevisionNotFound")
        else:
            return repository
        return None

    def _api(self, path: str) -> None:
        found = re.fullmatch(
            r"/api/models/(?P<name>.+?)((/revision|/(?P<tree>tree))/(?P<revision>[^/]+))?", path
        )
        assert found
        if (repository := self._repository(found["name"], found["revision"] or "main")) is None:
            return
        files = sorted(repository.files.items())
        if found["tree"]:
            self._send_json([_entry(name, content) for name, content in files])
            return
        siblings = [_sibling(name, content) for name, content in files]
        about = {"id": found["name"], "sha": repository.commit, "siblings": siblings}
        self._send_json({**about, "gated": "manual" if repository.tokens else False})

    def _resolve(self, name: str, revision: str, file: str) -> None:
        if (repository := self._repository(name, revision)) is None:
            return
        token = (self.headers["Authorization"] or "").removeprefix("Bearer ")
        if file not in repository.files:
            self._refuse(404, "EntryNotFound")
        elif repository.tokens and token not in repository.tokens:
            self._refuse(403 if token else 401, "GatedRepo")
        elif file.endswith(LARGE):
            content = repository.files[file]
            self.send_response(302)
            self.send_header("Location", f"{self.hub.url('storage')}/{name}/at/{revision}/{file}")
            self.send_header("X-Repo-Commit", repository.commit)
            self.send_header("X-Linked-Size", str(len(content)))
            self.send_header("X-Linked-ETag", f'"{_sha256(content)}"')
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._send_file(name, revision, file)

    def _send_file(self, name: str, _: str, file: str) -> None:
        repository = self.hub.repositories[name]
        content = repository.files[file]
        begin = 0
        if found := re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or ""):
            begin = int(found[1])
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("ETag", f'"{_hash(file, content)}"')
        self.send_header("X-Repo-Commit", repository.commit)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        if self.command == "GET":
            self._send_body(file, content, begin)

    def _send_body(self, file: str, content: bytes, begin: int) -> None:
        if file in self.hub.spoilt:
            content = bytes(len(content))
        cut = self.hub.cuts.pop(file, None)
        stall = self.hub.stalls.pop(file, None)
        end = min(len(content) if one is None else one for one in (cut, stall))
        self.wfile.write(content[begin:end])
        self.wfile.flush()
        if stall is not None:
            self.hub.wait_until_closed()
        if end < len(content):
            self.close_connection = True
        if cut is not None and file in self.hub.resets:
            at_once = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
            os.close(self.connection.detach())

    def _send_json(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _blob(content: bytes) -> str:
    """git's hash."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _hash(name: str, content: bytes) -> str:
    return _sha256(content) if name.endswith(LARGE) else _blob(content)


def _sibling(name: str, content: bytes) -> dict[str, Any]:
    known: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": _blob(content)}
    if name.endswith(LARGE):
        known["lfs"] = {"sha256": _sha256(content), "size": len(content), "pointerSize": 134}
    return known


def _entry(name: str, content: bytes) -> dict[str, Any]:
    known: dict[str, Any] = {
        "type": "file",
        "path": name,
        "size": len(content),
        "oid": _blob(content),
    }
    if name.endswith(LARGE):
        known["lfs"] = {"oid": _sha256(content), "size": len(content), "pointerSize": 134}
    return known
