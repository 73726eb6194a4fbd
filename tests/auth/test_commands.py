"""`llm-fastapi keys`, beside a running service too."""

import re
import time
from pathlib import Path

import pytest

from api.__main__ import main
from tests.service import open_service

PATIENCE_SECONDS = 60
TEXT = re.compile(r"sk-llm-[\w-]{43}")


@pytest.fixture(autouse=True)
def _data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_FASTAPI_DATA_DIR", str(tmp_path))


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["keys", *arguments]) == 0
    return capsys.readouterr().out


def test_a_key_is_made_listed_rotated_and_revoked(capsys: pytest.CaptureFixture[str]) -> None:
    made = said(capsys, "create", "n8n", "--scopes", "use", "train", "--requests-per-minute", "60")
    (id,) = re.findall(r"key_\w{16}", made)
    (text,) = TEXT.findall(made)
    listed = said(capsys, "list")
    assert {id, "n8n", "use,train", "60"} <= set(re.split(r"\s+", listed))
    assert "never used" in listed
    assert text not in listed
    (other,) = TEXT.findall(said(capsys, "rotate", id, "--grace", "60"))
    assert other != text
    assert "open again" in said(capsys, "revoke", id)
    assert said(capsys, "list") == "There are no keys.\n"


def test_what_is_wrong_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    (id,) = re.findall(r"key_\w{16}", said(capsys, "create", "a"))
    assert main(["keys", "revoke", "key_0"]) == 1
    assert main(["keys", "create", "a", "--expires", "soon"]) == 1
    assert main(["keys", "create", "a", "--workspace", "No Such"]) == 1
    assert main(["keys", "rotate", id, "--grace", str(10**12)]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 4


def test_the_running_service_learns_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_service(tmp_path) as service:

        def status(text: str = "") -> int:
            headers = {"Authorization": f"Bearer {text}"} if text else {}
            return service.client.get("/list_models", headers=headers).status_code

        def until(wanted: int, text: str = "") -> None:
            end = time.monotonic() + PATIENCE_SECONDS
            while status(text) != wanted:
                assert time.monotonic() < end
                time.sleep(0.05)

        assert status() == 200
        made = said(capsys, "create", "n8n")
        until(401)
        (text,) = TEXT.findall(made)
        assert status(text) == 200
        (id,) = re.findall(r"key_\w{16}", made)
        said(capsys, "create", "another")
        said(capsys, "revoke", id)
        until(401, text)
