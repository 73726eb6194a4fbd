"""The cleaners, over a `docker` that is a shell script which writes down what it is asked."""

import subprocess
from pathlib import Path

import pytest

from tests.stack.programs import put_on_path

ROOT = Path(__file__).parents[2]

DOCKER = r"""
cd "$STATE"
case "$*" in
    "compose ps "*) cat running ;;
    "compose exec -T ollama ollama list") test -e asked || { touch asked; exit 1; } ;;
    *) echo "$*" >>calls ;;
esac
case "$*" in "compose up "*"$(cat broken)") exit 1 ;; esac
case "$*" in "compose run "*) exit "$(cat status)" ;; esac
"""

STOP_API = "compose stop fastapi"
START = "compose up --detach --no-deps --no-recreate"
START_API = f"{START} --wait fastapi"
CLEAN = "compose run --rm --no-deps fastapi llm-fastapi clean"


class Host:
    """A machine with a docker on which some services run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = put_on_path(folder, "docker", DOCKER)

    def run(self, *command: str, running: str = "", status: int = 0, broken: str = "none") -> int:
        """The exit status of a cleaner; the service that is `broken` does not start."""
        (self._folder / "broken").write_text(broken)
        (self._folder / "running").write_text("".join(f"{name}\n" for name in running.split()))
        (self._folder / "status").write_text(str(status))
        return subprocess.run(
            [ROOT / command[0], *command[1:]], env=self._environment, check=False
        ).returncode

    @property
    def calls(self) -> list[str]:
        path = self._folder / "calls"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


UP = "chromadb fastapi ollama worker"


def test_documents_are_deleted_while_only_the_api_is_stopped(host: Host) -> None:
    assert host.run("clean_vectorDB.sh", running=UP) == 0
    assert host.calls == [STOP_API, f"{CLEAN} documents", START_API]


def test_the_vectors_alone_can_be_deleted(host: Host) -> None:
    host.run("clean_vectorDB.sh", "--vectors-only", "--yes", running=UP)
    assert f"{CLEAN} vectors --yes" in host.calls


def test_created_models_are_deleted(host: Host) -> None:
    assert host.run("clean_ollama_cache.sh", running=UP) == 0
    assert host.calls == [STOP_API, f"{CLEAN} models", START_API]


def test_all_models_can_be_deleted(host: Host) -> None:
    host.run("clean_ollama_cache.sh", "--all", "--yes", running=UP)
    assert f"{CLEAN} models --all --yes" in host.calls


@pytest.mark.parametrize("status", [1, 2])
def test_the_api_is_started_again_after_a_failure(host: Host, status: int) -> None:
    assert host.run("clean_vectorDB.sh", running=UP, status=status) == status
    assert host.calls[-1] == START_API


def test_of_a_stack_that_is_down_only_the_vector_store_runs_meanwhile(host: Host) -> None:
    assert host.run("clean_vectorDB.sh", "--yes") == 0
    assert host.calls == [
        f"{START} --wait chromadb",
        f"{CLEAN} documents --yes",
        "compose stop chromadb",
    ]


def test_of_a_stack_that_is_down_only_ollama_runs_meanwhile(host: Host) -> None:
    assert host.run("clean_ollama_cache.sh", "--yes") == 0
    assert host.calls == [
        f"{START} ollama",
        f"{CLEAN} models --yes",
        "compose stop ollama",
    ]


def test_the_back_end_is_stopped_again_after_a_failure(host: Host) -> None:
    assert host.run("clean_vectorDB.sh", status=1) == 1
    assert host.calls[-1] == "compose stop chromadb"


@pytest.mark.parametrize(
    ("cleaner", "back_end"),
    [("clean_vectorDB.sh", "chromadb"), ("clean_ollama_cache.sh", "ollama")],
)
def test_a_back_end_that_does_not_start_is_a_failure_and_the_api_goes_on(
    host: Host, cleaner: str, back_end: str
) -> None:
    assert host.run(cleaner, running="fastapi", broken=back_end) == 1
    assert STOP_API not in host.calls
    assert not [call for call in host.calls if call.startswith(CLEAN)]


@pytest.mark.parametrize("cleaner", ["clean_vectorDB.sh", "clean_ollama_cache.sh"])
def test_an_unknown_option_changes_nothing(host: Host, cleaner: str) -> None:
    assert host.run(cleaner, "--everything", running=UP) == 2
    assert host.calls == []
