"""The Ollama container's entrypoint, over an `ollama` that is a shell script."""

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.programs import put_on_path

ENTRYPOINT = Path(__file__).parents[2] / "entrypoint.sh"

OLLAMA = r"""
cd "$STATE"
case $1 in
    serve)
        [ ! -e ready ] || touch ready-too-early
        trap 'exit 7' TERM
        touch serving
        while [ ! -e crash ]; do sleep 0.02; done
        exit 9 ;;
    list) test -f serving ;;
    show) test -f "has-$2" ;;
    pull)
        echo "$2" >>pulls
        [ ! -e ready ] || touch ready-too-early
        while [ -e hold ]; do sleep 0.02; done
        if [ -e fail ]; then
            rm fail
            printf '\033[?25lpulling manifest \033[K\033[?25h\nError: no such host\n' >&2
            exit 1
        fi
        # As Ollama draws it: all layers again and again, over what was drawn.
        for percent in 3 41 44 100; do
            printf '\033[?2026h\033[?25l\033[A\033[1Gpulling manifest \033[K\n' >&2
            printf 'pulling aabbccddeeff: 100%% |####|  12 B                 \033[K\n' >&2
            printf 'pulling 001122334455: %3d%% |##  | 1.9 GB/4.1 GB  85 MB/s 26s\033[K' $percent >&2
            printf '\033[?25h\033[?2026l' >&2
        done
        touch "has-$2" ;;
esac
"""


def _obeys() -> None:
    """Of tests that run in the background, an interrupt is ignored by all that they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Container:
    """The entrypoint, running."""

    def __init__(self, folder: Path, models: dict[str, str] | None = None) -> None:
        self.folder = folder
        self._log = folder / "log"
        environment = put_on_path(folder, "ollama", OLLAMA) | {
            "OLLAMA_READY_FILE": str(folder / "ready"),
            "OLLAMA_PULL_PAUSE": "0",
            "OLLAMA_BASE_MODEL": "llama3",
            "OLLAMA_EMBEDDING_MODEL": "all-minilm",
        }
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                ["/bin/bash", str(ENTRYPOINT)],
                env=environment | (models or {}),
                stdout=log,
                stderr=log,
                preexec_fn=_obeys,
            )

    def wait_for(self, name: str) -> None:
        """Until a file is there."""
        while not (self.folder / name).exists():
            assert self.process.poll() is None, self.log
            time.sleep(0.01)

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    @property
    def pulls(self) -> list[str]:
        path = self.folder / "pulls"
        return path.read_text(encoding="utf-8").split() if path.exists() else []


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The stub's state; whatever still runs over it ends by it, so it outlives the test."""
    folder = tmp_path_factory.mktemp("container")
    yield folder
    (folder / "crash").touch()
    (folder / "hold").unlink(missing_ok=True)


def test_both_models_are_pulled_and_then_it_is_ready(folder: Path) -> None:
    container = Container(folder)
    container.wait_for("ready")
    assert container.pulls == ["llama3", "all-minilm"]
    assert not (folder / "ready-too-early").exists()


def test_models_that_are_there_are_not_pulled(folder: Path) -> None:
    for name in ("llama3", "all-minilm"):
        (folder / f"has-{name}").touch()
    container = Container(folder)
    container.wait_for("ready")
    assert container.pulls == []


def test_a_model_that_is_not_named_is_not_pulled(folder: Path) -> None:
    container = Container(folder, {"OLLAMA_BASE_MODEL": ""})
    container.wait_for("ready")
    assert container.pulls == ["all-minilm"]


def test_the_log_has_plain_lines_of_progress(folder: Path) -> None:
    container = Container(folder, {"OLLAMA_EMBEDDING_MODEL": ""})
    container.wait_for("ready")
    assert "\033" not in container.log
    assert re.findall("layer.*", container.log) == [
        "layer aabbccddeeff: 100%",
        "layer 001122334455: 0% of 4.1 GB",
        "layer 001122334455: 40% of 4.1 GB",
        "layer 001122334455: 100% of 4.1 GB",
    ]


def test_a_pull_that_fails_is_said_and_tried_again(folder: Path) -> None:
    (folder / "fail").touch()
    container = Container(folder)
    container.wait_for("ready")
    assert container.pulls == ["llama3", "llama3", "all-minilm"]
    assert "Error: no such host" in container.log
    assert "llama3 could not be pulled; trying again in 0 s" in container.log


def test_the_mark_of_an_earlier_start_is_taken_away_first(folder: Path) -> None:
    (folder / "ready").touch()
    container = Container(folder)
    container.wait_for("has-all-minilm")
    container.wait_for("ready")
    assert not (folder / "ready-too-early").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_and_its_status_is_kept(folder: Path, number: int) -> None:
    container = Container(folder)
    container.wait_for("ready")
    container.process.send_signal(number)
    assert container.process.wait() == 7


def test_a_signal_is_obeyed_while_a_model_is_pulled(folder: Path) -> None:
    (folder / "hold").touch()
    container = Container(folder)
    container.wait_for("pulls")
    container.process.terminate()
    assert container.process.wait() == 7
    assert not (folder / "ready").exists()


def test_it_ends_with_a_server_that_crashes(folder: Path) -> None:
    container = Container(folder)
    container.wait_for("ready")
    (folder / "crash").touch()
    assert container.process.wait() == 9
