"""Settings as people write them: empty ones, lists in any form, and one line for each that is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from api.__main__ import main
from api.settings import Settings
from api.settings.environment import unknown_variables, unreadable_lines

ROOT = Path(__file__).parents[2]


def given(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(f"LLM_FASTAPI_{name}", value)
    return Settings()


def refusal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **variables: str
) -> str:
    """What a command says that cannot be run with these."""
    for name, value in variables.items():
        monkeypatch.setenv(f"LLM_FASTAPI_{name}", value)
    assert main(["doctor", "--check"]) == 1
    return capsys.readouterr().err


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_an_empty_setting_is_as_not_set(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    unset = getattr(Settings(), name)
    assert getattr(given(monkeypatch, **{name.upper(): ""}), name) == unset


def test_an_empty_line_of_the_file_is_as_not_set(tmp_path: Path) -> None:
    lines = [f"LLM_FASTAPI_{name.upper()}=\n" for name in Settings.model_fields]
    unset = Settings()
    (tmp_path / ".env").write_text("".join(lines))
    assert Settings() == unset


def test_an_empty_variable_leaves_what_the_file_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("LLM_FASTAPI_PORT=3001\n")
    assert given(monkeypatch, PORT="").port == 3001


@pytest.mark.parametrize(
    "written",
    [
        "llm.example.test,b.test",
        "llm.example.test, b.test",
        "llm.example.test b.test",
        '["llm.example.test", "b.test"]',
        "['llm.example.test', 'b.test']",
        "[llm.example.test, b.test]",
        "https://LLM.example.test/, b.test:8443,",
    ],
)
def test_a_list_is_understood_however_it_is_written(
    monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    settings = given(monkeypatch, ALLOWED_HOSTS=written)
    assert settings.allowed_hosts == ("llm.example.test", "b.test")


def test_host_names_and_origins_are_kept_as_browsers_send_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = given(
        monkeypatch,
        ALLOWED_HOSTS="Müller.test",
        ALLOWED_ORIGINS="https://App.test:443/,http://localhost:5173",
        TRUSTED_PROXIES="10.1.2.3/8 ::1",
        ROOT_PATH="llm/",
    )
    assert settings.allowed_hosts == ("xn--mller-kva.test",)
    assert settings.allowed_origins == ("https://app.test", "http://localhost:5173")
    assert settings.trusted_proxies == ("10.0.0.0/8", "::1/128")
    assert settings.root_path == "/llm"


def test_the_case_of_a_log_level_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = given(monkeypatch, LOG_LEVEL="INFO", LOG_FORMAT="JSON")
    assert (settings.log_level, settings.log_format) == ("info", "json")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("THREADS", "many"),
        ("PORT", "70000"),
        ("ALLOW_OPEN", "maybe"),
        ("LOG_FORMAT", "xml"),
        ("ALLOWED_HOSTS", "*"),
        ("ALLOWED_HOSTS", "a.test,b!c"),
        ("ALLOWED_HOSTS", "[1]"),
        ("ALLOWED_ORIGINS", "app.test"),
        ("ALLOWED_ORIGINS", "https://app.test/path"),
        ("TRUSTED_PROXIES", "nginx"),
        ("ROOT_PATH", "/a b"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    said = refusal(monkeypatch, capsys, **{name: value})
    assert said.count("\n") == 1
    assert said.startswith(f"llm-fastapi: LLM_FASTAPI_{name}: '")


def test_a_reranker_is_refused_where_ollama_serves(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert given(monkeypatch, RERANKER="bge-reranker").reranker == "bge-reranker"
    said = refusal(monkeypatch, capsys, RUNTIME="ollama")
    assert said.count("\n") == 1
    assert said.startswith(
        "llm-fastapi: LLM_FASTAPI_RERANKER: 'bge-reranker' cannot be used: Ollama"
    )


def test_every_wrong_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(monkeypatch, capsys, THREADS="many", PORT="-1")
    assert [line.split()[1] for line in said.splitlines()] == [
        "LLM_FASTAPI_PORT:",
        "LLM_FASTAPI_THREADS:",
    ]


@pytest.mark.parametrize("key", ["schlüssel-7", "a\nb", "鍵"])
def test_a_key_that_no_header_carries_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    said = refusal(monkeypatch, capsys, API_KEY=key)
    assert said.count("\n") == 1
    assert "LLM_FASTAPI_API_KEY" in said
    assert "ASCII" in said
    assert key not in said


def test_a_key_is_taken_without_the_white_space_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    key = given(monkeypatch, API_KEY=" a key\n").api_key
    assert key
    assert key.get_secret_value() == "a key"


def test_a_settings_file_in_another_encoding_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".env").write_bytes("LLM_FASTAPI_API_KEY=schlüssel\n".encode("latin-1"))
    assert (
        refusal(monkeypatch, capsys)
        == "llm-fastapi: The file .env is not UTF-8; save it as UTF-8.\n"
    )


def test_a_misspelt_setting_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = unknown_variables()
    (tmp_path / ".env").write_text("LLM_FASTAPI_PORT=3001\nLLM_FASTAPI_ALOWED_HOSTS=a.test\n")
    given(monkeypatch, LOGLEVEL="info", THREADS="2")
    assert set(unknown_variables()) - set(known) == {
        "LLM_FASTAPI_ALOWED_HOSTS",
        "LLM_FASTAPI_LOGLEVEL",
    }


def test_a_line_of_the_file_that_is_none_is_told_once(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# ours\nLLM FASTAPI PORT 3001\n\nLLM_FASTAPI_HOST=127.0.0.1\n")
    assert unreadable_lines() == [2]
    told = subprocess.run(
        [sys.executable, "-m", "api", "clean", "documents", "--check"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    ).stderr
    assert told == "line 2 of .env is left out: it is no NAME=VALUE, or a quote is open.\n"


@pytest.mark.parametrize("options", [["--port", "4000"], ["serve", "--data-dir=/data"]])
def test_a_setting_that_is_given_as_an_option_is_met_with_its_variable(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(options)
    said = capsys.readouterr().err
    assert "LLM_FASTAPI_PORT" in said or "LLM_FASTAPI_DATA_DIR" in said
