"""Keys of back ends: each in a file that nobody else may read, or in the environment. Written, never told."""

import logging
import os
import re
from pathlib import Path

from api.errors import InvalidOption
from api.settings.environment import secret

LOGGER = logging.getLogger("api")
MAX_KEY_CHARACTERS = 4096
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,90}_API_KEY")
_OURS = "LLM_FASTAPI_API_KEY"


class Keys:
    """The keys that lie in files, by the names of their back ends, which are sound file names. Its methods block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, name: str) -> str:
        """The key of a back end; empty where it has none, or none that can be read."""
        try:
            return (self._folder / name).read_text(encoding="ascii")
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeError):
            LOGGER.warning("The key of the back end %r cannot be read. Give it again.", name)
            return ""

    def put(self, name: str, key: str) -> None:
        """Keep a key in place of one of before, or none; who reads it meanwhile reads a whole one."""
        if not key:
            (self._folder / name).unlink(missing_ok=True)
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        written = self._folder / f".{name}"
        descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            os.fchmod(descriptor, 0o600)
            file.write(key)
            file.flush()
            os.fsync(descriptor)
        written.replace(self._folder / name)

    def where(self, name: str, variable: str) -> str:
        """Where a key is: `file`, the variable, or `none`."""
        return variable or ("file" if (self._folder / name).is_file() else "none")


def check_key(key: str) -> None:
    """`errors.InvalidOption` for what cannot stand in a header."""
    if not key.isascii() or not key.isprintable() or not 0 < len(key) <= MAX_KEY_CHARACTERS:
        raise InvalidOption(
            f"key: a key has 1 to {MAX_KEY_CHARACTERS} printable ASCII characters.", where="key"
        )


def check_variable(name: str) -> None:
    """`errors.InvalidOption` for a variable that is no key of a back end: what it holds is sent away."""
    if not _VARIABLE.fullmatch(name) or name == _OURS:
        raise InvalidOption(
            "key_env: the name of a variable ends in _API_KEY, and is not that of this service's own key.",
            where="key_env",
        )
    if not secret(name):
        raise InvalidOption(f"key_env: {name} is not set where the service runs.", where="key_env")
