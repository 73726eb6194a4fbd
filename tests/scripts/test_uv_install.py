"""What pip is configured to do, handed on to uv."""

import os
import runpy
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "uv_install.py"))
pip_config_list, pip_settings = SCRIPT["pip_config_list"], SCRIPT["pip_settings"]
uv_arguments, uv_variables = SCRIPT["uv_arguments"], SCRIPT["uv_variables"]


def options(arguments: list[str]) -> set[tuple[str, str]]:
    return set(zip(arguments[::2], arguments[1::2], strict=True))


def test_pips_files_and_environment_are_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    file = tmp_path / "pip.conf"
    file.write_text(
        "[global]\n"
        "index-url = https://packages.example/simple\n"
        "extra-index-url =\n    https://one.example/simple\n    https://two.example/simple\n"
        "find-links = /of/the/file\n"
        "timeout = 17\n"
        "[install]\n"
        "constraint = /constraints.txt\n"
        "[list]\n"
        "trusted-host = not.for.install.example\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
    monkeypatch.setenv("PIP_FIND_LINKS", "/of/the/environment /another")
    monkeypatch.setenv("PIP_CERT", "/ca.pem")
    configured = pip_settings(pip_config_list())
    assert options(uv_arguments(configured)) >= {
        ("--find-links", "/of/the/environment"),
        ("--find-links", "/another"),
        ("--constraints", "/constraints.txt"),
        ("--cert", "/ca.pem"),
    }
    assert "/of/the/file" not in uv_arguments(configured)
    assert "not.for.install.example" not in uv_arguments(configured)
    assert uv_variables(configured) == {
        "UV_HTTP_TIMEOUT": "17",
        "UV_INDEX_URL": "https://packages.example/simple",
        "UV_EXTRA_INDEX_URL": "https://one.example/simple https://two.example/simple",
    }


def test_nothing_configured_adds_nothing() -> None:
    assert uv_arguments(pip_settings("")) == ["--index-strategy", "unsafe-best-match"]
    assert uv_variables({}) == {}


@pytest.mark.parametrize(("said", "is_meant"), [("1", True), ("true", True), ("0", False)])
def test_an_index_that_pip_may_not_ask_is_not_asked(said: str, is_meant: bool) -> None:
    arguments = uv_arguments(pip_settings(f":env:.no-index='{said}'"))
    assert ("--no-index" in arguments) is is_meant


def test_an_unknown_part_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    command = ["bash", str(ROOT / "scripts" / "install.sh"), "everything"]
    refused = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.startswith("usage")


UV = str(Path(sys.executable).with_name("uv"))
INSTALL = [UV, "pip", "install", "--python", sys.executable, "--dry-run"]


def test_uv_takes_every_option_that_is_handed_on(tmp_path: Path) -> None:
    (tmp_path / "constraints.txt").touch()
    every = {
        "find-links": str(tmp_path),
        "index-url": "https://packages.example/simple",
        "extra-index-url": "https://one.example/simple",
        "constraint": str(tmp_path / "constraints.txt"),
        "trusted-host": "packages.example",
        "only-binary": ":all:",
        "cert": "/etc/ssl/certs/ca-certificates.crt",
        "no-index": "1",
    }
    taken = subprocess.run(
        [*INSTALL, "--offline", "pip", *uv_arguments(every)],
        env=os.environ | uv_variables(every),
        capture_output=True,
        text=True,
    )
    assert "unexpected argument" not in taken.stderr
    assert taken.returncode == 0, taken.stderr


class Index(ThreadingHTTPServer):
    """A package index that has nothing, and notes what it is asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Nothing)
        self.asked: list[str] = []

    def url(self, name: str) -> str:
        """One of its addresses, with a password."""
        return f"http://user:secret@127.0.0.1:{self.server_port}/{name}"


class Nothing(BaseHTTPRequestHandler):
    """Every page is missing."""

    server: Index

    def do_GET(self) -> None:
        """Note the first part of the path."""
        self.server.asked.append(self.path.split("/")[1])
        self.send_error(404)


@pytest.fixture
def index() -> Iterator[Index]:
    with Index() as index:
        thread = threading.Thread(target=index.serve_forever)
        thread.start()
        yield index
        index.shutdown()
        thread.join()


def test_an_index_that_is_named_stands_in_the_place_of_the_configured_one(index: Index) -> None:
    configured = {"index-url": index.url("configured"), "extra-index-url": index.url("extra")}
    assert "secret" not in " ".join(uv_arguments(configured))
    named = ["--index-url", index.url("named"), "nothing-of-that-name"]
    environment = {name: value for name, value in os.environ.items() if name[:3] != "UV_"}
    for arguments, asked in ((named[2:], {"configured", "extra"}), (named, {"named", "extra"})):
        index.asked.clear()
        refused = subprocess.run(
            [*INSTALL, "--no-cache", *uv_arguments(configured), *arguments],
            env=environment | uv_variables(configured) | {"NO_PROXY": "127.0.0.1"},
            capture_output=True,
            text=True,
        )
        assert set(index.asked) == asked, refused.stderr
