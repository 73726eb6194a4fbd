"""What pip is configured to do, handed on to uv."""

import os
import runpy
import subprocess
import sys
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
        ("--index-url", "https://packages.example/simple"),
        ("--extra-index-url", "https://one.example/simple"),
        ("--extra-index-url", "https://two.example/simple"),
        ("--find-links", "/of/the/environment"),
        ("--find-links", "/another"),
        ("--constraints", "/constraints.txt"),
        ("--cert", "/ca.pem"),
    }
    assert "/of/the/file" not in uv_arguments(configured)
    assert "not.for.install.example" not in uv_arguments(configured)
    assert uv_variables(configured) == {"UV_HTTP_TIMEOUT": "17"}


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


def test_uv_takes_every_option_that_is_handed_on(tmp_path: Path) -> None:
    uv = str(Path(sys.executable).with_name("uv"))
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
    command = [uv, "pip", "install", "--python", sys.executable, "--offline", "--dry-run", "pip"]
    taken = subprocess.run([*command, *uv_arguments(every)], capture_output=True, text=True)
    assert "unexpected argument" not in taken.stderr
    assert taken.returncode == 0, taken.stderr
