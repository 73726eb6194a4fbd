"""`uv pip install` with what pip is configured to do, in its environment and its files: uv reads none of that.

    .venv/bin/python scripts/uv_install.py ARGUMENTS...

`uv` must be in the same environment.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

SECTIONS = ("global", "install", ":env:")
"""Of `pip config list`, the strongest last."""

MANY = {
    "find-links": "--find-links",
    "constraint": "--constraints",
    "trusted-host": "--allow-insecure-host",
    "no-binary": "--no-binary",
    "only-binary": "--only-binary",
}
"""Settings of pip that hold any number of values, and uv's option for one of them."""

ONE = {"cert": "--cert"}
VARIABLES = {
    "index-url": "UV_INDEX_URL",
    "extra-index-url": "UV_EXTRA_INDEX_URL",
    "proxy": "ALL_PROXY",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
}


def main() -> None:
    """Become uv."""
    configured = pip_settings(pip_config_list())
    uv = str(Path(sys.executable).with_name("uv"))
    command = [uv, "pip", "install", "--python", sys.executable, *uv_arguments(configured)]
    os.execve(uv, [*command, *sys.argv[1:]], os.environ | uv_variables(configured))  # noqa: S606


def pip_config_list() -> str:
    """What pip says of its own configuration."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def pip_settings(listed: str) -> dict[str, str]:
    """What holds for `pip install`, by name, from the lines `section.name='value'`."""
    found: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if section in found:
            found[section][name] = ast.literal_eval(value)
    return {name: value for section in SECTIONS for name, value in found[section].items()}


def uv_arguments(configured: Mapping[str, str]) -> list[str]:
    """The same for uv, which by itself would ask no index after the first that has a name."""
    arguments = ["--index-strategy", "unsafe-best-match"]
    for name, option in ONE.items():
        if value := configured.get(name, "").strip():
            arguments += [option, value]
    for name, option in MANY.items():
        for value in configured.get(name, "").split():
            arguments += [option, value]
    if configured.get("no-index", "").lower() in {"1", "true", "yes", "on"}:
        arguments.append("--no-index")
    return arguments


def uv_variables(configured: Mapping[str, str]) -> dict[str, str]:
    """What uv takes from the environment alone, and the indexes.

    There an argument may stand in the place of the index, and nobody who lists the processes reads a password in it.
    """
    return {
        variable: " ".join(configured[name].split())
        for name, variable in VARIABLES.items()
        if configured.get(name)
    }


if __name__ == "__main__":
    main()
