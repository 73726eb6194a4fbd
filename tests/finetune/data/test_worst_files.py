"""The ten worst data files that we could think of: each refused, with its row and the reason."""

import json
import pickle
from pathlib import Path

import pytest

from tests.finetune.data.files import CHAT, refused

GOOD = json.dumps({"messages": CHAT})
QUOTED = '"' + json.dumps(CHAT).replace('"', '""') + '"'


def turns(*pairs: tuple[str, object]) -> str:
    return json.dumps({"messages": [{"role": role, "content": said} for role, said in pairs]})


HALF = "\ud83d"
CODE = "import os\nos.system('touch here')"


class Evil:
    """A pickle that runs a program when it is loaded."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, (CODE,)


WORST: dict[str, tuple[bytes, int | None, str]] = {
    "a pickle with a program in it": (pickle.dumps(Evil()), None, "a pickle"),
    "a cell that is a program": (
        f'messages\n{QUOTED}\n"__import__(\'os\').system(\'touch here\')"\n'.encode(),
        2,
        "'__import__' is no value",
    ),
    "a quote that is never closed, in the middle of a large file": (
        f'messages\n{QUOTED}\n"{"x" * 9_000_000}\n'.encode(),
        2,
        "longer than 4,194,304 characters, or a quote is never closed",
    ),
    "two encodings in one file": (
        f"messages\n{QUOTED}\n".encode() + f"{QUOTED.replace('boat', 'Schiff für')}\n".encode("latin-1"),
        None,
        "not UTF-8 (byte 0xfc",
    ),
    "a bomb of brackets": (f"{GOOD}\n{'[' * 2_000_000}\n".encode(), 2, "nested too deeply"),
    "a row cut in the middle by a full disk": (
        f"{GOOD}\n{GOOD[: len(GOOD) // 2]}".encode(),
        2,
        "is no JSON object",
    ),
    "half a character": (
        f"{GOOD}\n{turns(('user', 'x'), ('assistant', HALF))}\n".encode(),
        2,
        "half a surrogate pair",
    ),
    "a conversation that teaches nothing": (
        f"{GOOD}\n{turns(('system', 'x'), ('user', 'y'))}\n".encode(),
        2,
        "no assistant turn",
    ),
    "an answer that is a picture": (
        f"{GOOD}\n{turns(('user', 'x'), ('assistant', [{'type': 'image_url', 'image_url': {}}]))}\n".encode(),
        2,
        "'image_url': only text",
    ),
    "a tool call whose arguments are broken": (
        f"{GOOD}\n".encode()
        + json.dumps(
            {
                "messages": [
                    CHAT[0],
                    {
                        "role": "assistant",
                        "tool_calls": [{"function": {"name": "f", "arguments": '{"a": '}}],
                    },
                ]
            }
        ).encode(),
        2,
        "arguments of a tool call of turn 2 are no JSON",
    ),
    "a Git LFS pointer in the place of the data": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n",
        None,
        "a pointer of Git LFS",
    ),
    "a web page that says the download failed": (
        b"<!DOCTYPE html><html><body>403 Forbidden</body></html>",
        None,
        "HTML or XML",
    ),
}


@pytest.mark.parametrize("name", WORST)
def test_each_of_the_worst_files_is_refused_with_row_and_reason(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content, row, reason = WORST[name]
    path = tmp_path / "data"
    path.write_bytes(content)
    error = refused(path)
    assert reason in error.detail
    assert [one.row for one in error.rows] == ([row] if row else [])
    assert not (tmp_path / "here").exists()
