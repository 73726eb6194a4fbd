"""ChromaDB servers for tests: a real one that can be stopped and started, and small ones that answer by a rule."""

import contextlib
import http.client
import http.server
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.listening import reserved

PROGRAM = Path(sys.executable).with_name("chroma")
START_SECONDS = 60


class ChromaServer:
    """`chroma run` on a loopback port that stays the same."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "ChromaServer":
        """Start it, and wait until it takes connections."""
        command = [str(PROGRAM), "run", "--host", "127.0.0.1", "--port", str(self.port)]
        self._process = subprocess.Popen(
            [*command, "--path", str(self.folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return self
            time.sleep(0.02)
        raise AssertionError("chroma run does not start")

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def lose_everything(self) -> None:
        """Kill it, delete its data, and start it again."""
        self.kill()
        shutil.rmtree(self.folder)
        self.start()


@contextlib.contextmanager
def chroma_server(folder: Path) -> Iterator[ChromaServer]:
    """One that is not started yet; it ends at the end."""
    with reserved() as port:
        server = ChromaServer(folder, port)
        try:
            yield server
        finally:
            server.kill()


Request = http.server.BaseHTTPRequestHandler
Rule = Callable[[Request], tuple[int, str, bytes]]
"""Status, content type and body of the answer to a request."""


@contextlib.contextmanager
def answering(rule: Rule, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server that answers everything by the rule; yields its URL."""

    class Handler(Request):
        def handle_any(self) -> None:
            status, kind, body = rule(self)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = do_PUT = handle_any

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing on stderr."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def always(status: int, kind: str, body: str) -> Rule:
    """The same answer to everything."""
    return lambda _: (status, kind, body.encode())


def guarded(server: ChromaServer, headers: Mapping[str, str]) -> Rule:
    """Passes on what carries these headers, as a reverse proxy does before a server without keys."""

    def rule(request: Request) -> tuple[int, str, bytes]:
        if any(request.headers[name] != value for name, value in headers.items()):
            return 401, "text/html", b"<h1>Unauthorized</h1>"
        return passed_on(request, server)

    return rule


def passed_on(request: Request, server: ChromaServer) -> tuple[int, str, bytes]:
    """What the real server answers."""
    body = request.rfile.read(int(request.headers["Content-Length"] or 0))
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request(request.command, request.path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, answer.headers["Content-Type"], content
