"""scripts/load_base_model.py: models from the hub, from a folder and from a file become base models."""

import errno
import fcntl
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from api.settings import Settings
from finetune import gguf_file
from finetune.bases import folder as model_folder
from finetune.bases.gguf import make_gguf, room_needed
from finetune.bases.load import Wanted, load
from finetune.job.directory import sha256_of
from finetune.job.stage import StageFailed
from tests.finetune.jobs import DEMO_MODEL, ROOT, wait_for
from tests.hub.server import COMMIT, Hub

DEMO = {path.name: path.read_bytes() for path in DEMO_MODEL.iterdir()}
OURS = ("source.json", "tried")
WEIGHTS = "model.safetensors"
STEP = 10 * 2**20
"""The library writes what comes in steps of this size; less than one is lost with a connection."""


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as hub:
        yield hub


@pytest.fixture(scope="module")
def wide() -> dict[str, bytes]:
    """A model whose weights are more than one step of the download."""
    weights = np.random.default_rng(0).random((3200, 1024), np.float32)
    return {**DEMO, WEIGHTS: save({"model.embed_tokens.weight": weights})}


class Loader:
    """The program, over a data folder."""

    def __init__(self, hub: Hub, data: Path) -> None:
        self.base_models = data / "base_models"
        self.trial = False
        self._environment = os.environ | {
            "LLM_FASTAPI_DATA_DIR": str(data),
            "HF_ENDPOINT": hub.url(),
            "HF_HOME": str(data / "home"),
            "HF_TOKEN": "",
            "HF_HUB_OFFLINE": "0",
        }

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        more = () if self.trial else ("--no-trial",)
        return subprocess.Popen(
            [sys.executable, str(ROOT / "scripts" / "load_base_model.py"), *arguments, *more],
            env=self._environment | environment,
            cwd=self.base_models.anchor,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **environment: str) -> str:
        """What it says, when all goes well."""
        process = self.start(*arguments, **environment)
        out, err = process.communicate()
        assert process.returncode == 0, err
        return out

    def refusal(self, *arguments: str, **environment: str) -> str:
        """The line it ends with."""
        process = self.start(*arguments, **environment)
        _, err = process.communicate()
        assert process.returncode == 1, err
        return err.strip().splitlines()[-1]

    def refusal_with_room(self, room: int, model: str) -> str:
        """What it says when the disk has that many bytes."""
        program = (
            "import sys; from pathlib import Path; from finetune.bases.load import Wanted, load;"
            "load(Wanted(Path(sys.argv[1]), sys.argv[2]), print, lambda _: int(sys.argv[3]))"
        )
        process = subprocess.run(
            [sys.executable, "-c", program, self.base_models.parent, model, str(room)],
            env=self._environment,
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.returncode == 1, process.stderr
        return process.stderr.strip().splitlines()[-1]

    def files(self, name: str) -> dict[str, bytes]:
        """A base model's files, but for where it is from."""
        paths = (self.base_models / name).iterdir()
        return {path.name: path.read_bytes() for path in paths if path.name not in OURS}

    def names(self) -> list[str]:
        """All that lies among the base models."""
        return sorted(path.name for path in self.base_models.iterdir())


@pytest.fixture
def loader(hub: Hub, tmp_path: Path) -> Loader:
    return Loader(hub, tmp_path / "data")


def test_the_data_folder_is_the_one_that_the_service_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service_folder = runpy.run_path(str(ROOT / "scripts" / "load_base_model.py"))["service_folder"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LLM_FASTAPI_DATA_DIR", raising=False)
    assert service_folder() == Path("data")
    (tmp_path / ".env").write_text("LLM_FASTAPI_DATA_DIR=elsewhere\n")
    assert service_folder() == Settings().data_dir == Path("elsewhere")
    monkeypatch.setenv("LLM_FASTAPI_DATA_DIR", "third")
    assert service_folder() == Settings().data_dir == Path("third")


# From the hub


@pytest.mark.real
def test_a_model_of_the_hub_becomes_a_folder_and_a_quantized_gguf(hub: Hub, loader: Loader) -> None:
    needless = ("pytorch_model.bin", "consolidated.safetensors", "modeling.py", "a/config.json")
    hub.add("org/Tiny", {**DEMO, **dict.fromkeys(needless, b"x")}, tokens=("secret",))
    loader.trial = True
    said = loader.run("org/Tiny", HF_TOKEN="secret")
    assert loader.names() == ["Tiny", "Tiny.gguf"]
    assert loader.files("Tiny") == {
        k: v for k, v in DEMO.items() if k not in ("abilities.json", "tried")
    }
    assert gguf_file.read(loader.base_models / "Tiny.gguf").file_type == 15  # Q4_K_M
    source = json.loads((loader.base_models / "Tiny" / "source.json").read_text())
    assert source == {"model": "org/Tiny", "revision": "main", "commit": COMMIT}
    assert "baseModel=Tiny" in said
    tokens = {(one.host, one.token) for one in hub.asked}
    assert tokens == {("hub", "Bearer secret"), ("storage", None)}
    assert {one.path.split("/")[1] for one in hub.asked} == {"api", "org"}  # nothing but the model
    assert sum(one.path.startswith("/api/") for one in hub.asked) == 1


def test_a_download_whose_process_dies_goes_on_in_the_next_run(
    hub: Hub, loader: Loader, wide: dict[str, bytes]
) -> None:
    hub.add("org/tiny", wide)
    hub.stall(WEIGHTS, STEP + 2**20)
    process = loader.start("org/tiny", "--no-gguf")
    partial = loader.base_models / ".tiny.loading" / f"{WEIGHTS}.part"
    wait_for(lambda: partial.exists() and partial.stat().st_size == STEP)
    process.kill()
    process.communicate()
    assert loader.names() == [".tiny.loading"]
    hub.asked.clear()
    loader.run("org/tiny", "--no-gguf")
    assert loader.names() == ["tiny"]
    assert loader.files("tiny")[WEIGHTS] == wide[WEIGHTS]
    assert {one.range for one in hub.asked_for(WEIGHTS)} == {f"bytes={STEP}-"}
    assert not hub.asked_for("tokenizer.json")


def test_a_connection_that_is_cut_is_taken_up_again_where_it_was(
    hub: Hub, loader: Loader, wide: dict[str, bytes]
) -> None:
    hub.add("org/tiny", wide)
    hub.cut(WEIGHTS, STEP + 2**20)
    loader.run("org/tiny", "--no-gguf")
    assert loader.files("tiny")[WEIGHTS] == wide[WEIGHTS]
    assert [one.range for one in hub.asked_for(WEIGHTS) if one.host == "storage"] == [
        None,
        f"bytes={STEP}-",
    ]


def test_a_connection_that_is_reset_is_taken_up_again(
    hub: Hub, loader: Loader, wide: dict[str, bytes]
) -> None:
    hub.add("org/tiny", wide)
    hub.cut(WEIGHTS, STEP + 2**20, reset=True)
    assert "Trying again" in loader.run("org/tiny", "--no-gguf")
    assert loader.files("tiny")[WEIGHTS] == wide[WEIGHTS]


def test_what_came_of_one_commit_is_not_mixed_with_another(hub: Hub, loader: Loader) -> None:
    hub.add("org/tiny", DEMO, commit="1" * 40)
    hub.spoilt.add(WEIGHTS)
    loader.refusal("org/tiny", "--no-gguf")
    hub.spoilt.clear()
    hub.add("org/tiny", {**DEMO, "README.md": b"newer"}, commit="2" * 40)
    loader.run("org/tiny", "--no-gguf")
    assert loader.files("tiny")["README.md"] == b"newer"


def test_bytes_that_have_not_the_hubs_hash_never_become_a_model(hub: Hub, loader: Loader) -> None:
    hub.add("org/tiny", DEMO)
    hub.spoilt.add(WEIGHTS)
    assert "hash" in loader.refusal("org/tiny", "--no-gguf")
    assert loader.names() == [".tiny.loading"]
    assert not list(loader.base_models.glob(f".tiny.loading/{WEIGHTS}*"))


def test_a_model_that_is_there_is_not_asked_for_again(hub: Hub, loader: Loader) -> None:
    hub.add("org/tiny", DEMO)
    loader.run("org/tiny", "--no-gguf")
    hub.asked.clear()
    assert "there already" in loader.run("org/tiny", "--no-gguf")
    assert not hub.asked
    assert "another" in loader.refusal("org/tiny", "--no-gguf", "--revision", "v2")
    assert "another" in loader.refusal("else/tiny", "--no-gguf")


def test_a_gguf_file_of_the_hub_becomes_a_base_without_a_folder(hub: Hub, loader: Loader) -> None:
    hub.add("org/ggufs", {"a.Q4_K_M.gguf": b"GGUF a", "b.gguf": b"GGUF b", "README.md": b""})
    loader.run("org/ggufs:a.Q4_K_M.gguf", "--name", "small")
    assert loader.names() == ["small.gguf"]
    assert (loader.base_models / "small.gguf").read_bytes() == b"GGUF a"
    assert "b.gguf" in loader.refusal("org/ggufs:c.gguf")
    assert "org/ggufs" in loader.refusal("org/ggufs")


def test_a_gguf_file_of_the_hub_that_the_service_cannot_copy_is_not_begun(
    hub: Hub, loader: Loader
) -> None:
    hub.add("org/ggufs", {"a.gguf": b"GGUF a"})
    assert "Not enough disk" in loader.refusal_with_room(10, "org/ggufs:a.gguf")
    assert not hub.asked_for("a.gguf")


def test_a_projector_comes_beside_the_gguf_that_it_is_for(hub: Hub, loader: Loader) -> None:
    hub.add("org/sees", {"a.gguf": b"GGUF a", "mmproj-a.gguf": b"GGUF eye", "b.gguf": b"no GGUF"})
    hub.add("org/eyes", {"other.gguf": b"GGUF other"})
    loader.run("org/sees:a.gguf", "--mmproj", "mmproj-a.gguf")
    assert loader.names() == ["a.gguf", "a.mmproj"]
    assert (loader.base_models / "a.mmproj").read_bytes() == b"GGUF eye"
    loader.run("org/sees:a.gguf", "--mmproj", "org/eyes:other.gguf")
    assert (loader.base_models / "a.mmproj").read_bytes() == b"GGUF other"
    assert "does not begin with GGUF" in loader.refusal("org/sees:a.gguf", "--mmproj", "b.gguf")
    assert "mmproj-a.gguf" in loader.refusal("org/sees:a.gguf", "--mmproj", "eye.gguf")
    loader.run("org/sees:a.gguf")
    assert loader.names() == ["a.gguf"]


@pytest.mark.parametrize(
    ("model", "says", "environment"),
    [
        ("org/gated", "https://huggingface.co/org/gated", {}),
        ("org/gated", "HF_TOKEN", {"HF_TOKEN": "of somebody else"}),
        ("org/nothing", "no model 'org/nothing'", {}),
        ("org/pickled", "pickles", {}),
        ("org/empty", "no config.json", {}),
        ("../../etc", "not a repository", {}),
        ("org/tiny", "HF_HUB_OFFLINE", {"HF_HUB_OFFLINE": "1"}),
        ("org/tiny", "not reachable", {"HF_ENDPOINT": "http://127.0.0.1:1"}),
    ],
)
def test_what_cannot_be_had_is_refused_in_one_line_that_says_what_to_do(
    hub: Hub, loader: Loader, model: str, says: str, environment: dict[str, str]
) -> None:
    hub.add("org/tiny", DEMO)
    hub.add("org/gated", DEMO, tokens=("secret",))
    hub.add("org/pickled", {"config.json": b"{}", "pytorch_model.bin": b"x"})
    hub.add("org/empty", {"README.md": b""})
    assert says.lower() in loader.refusal(model, "--name", "any", **environment).lower()
    assert [name for name in loader.names() if not name.startswith(".")] == []


@pytest.mark.parametrize(
    ("said", "meant"), [("", Path("data")), ("~/there", Path.home() / "there"), ("x", Path("x"))]
)
def test_an_empty_data_folder_is_the_default_and_a_tilde_the_home(
    monkeypatch: pytest.MonkeyPatch, said: str, meant: Path
) -> None:
    monkeypatch.setenv("LLM_FASTAPI_DATA_DIR", said)
    monkeypatch.setattr(sys, "argv", ["load_base_model.py"])
    program = runpy.run_path(str(ROOT / "scripts" / "load_base_model.py"))
    assert program["arguments"]().data_dir == meant


def test_an_unknown_revision_is_named_as_such(hub: Hub, loader: Loader) -> None:
    hub.add("org/tiny", DEMO)
    assert "revision" in loader.refusal("org/tiny", "--revision", "v9")


# From a folder, from a file


def load_here(data: Path, **wanted: object) -> list[str]:
    """Load without making a GGUF; what was said."""
    said: list[str] = []
    arguments = {"quantization": None, "trial": False, **wanted}
    load(Wanted(data, **arguments), said.append)  # type: ignore[arg-type]
    return said


def folder_with(path: Path, **changed: bytes | None) -> Path:
    """A copy of the demo model with some files changed or, None, removed; `__` stands for a dot."""
    shutil.copytree(DEMO_MODEL, path)
    for name, content in changed.items():
        file = path / name.replace("__", ".")
        file.unlink(missing_ok=True)
        if content is not None:
            file.write_bytes(content)
    return path


def refuse_link(*_: object) -> None:
    """As a bind mount does, though it lies on the same disk."""
    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))


def watch_fsync(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Inodes that are flushed from now on."""
    flushed: set[int] = set()
    monkeypatch.setattr(os, "fsync", lambda file: flushed.add(os.fstat(file).st_ino))
    return flushed


def test_a_folder_becomes_a_base_model_and_stays_as_it_was(tmp_path: Path) -> None:
    source = folder_with(tmp_path / "Mine", script__py=b"print()")
    before = {path.name: sha256_of(path) for path in source.iterdir()}
    load_here(tmp_path, folder=source)
    assert {path.name: sha256_of(path) for path in source.iterdir()} == before
    made = tmp_path / "base_models" / "Mine"
    assert sha256_of(made / WEIGHTS) == before[WEIGHTS]
    assert not (made / "script.py").exists()
    with pytest.raises(StageFailed, match="Choose another --name"):
        load_here(tmp_path, folder=source)
    load_here(tmp_path, folder=made)  # the folder itself, to make its GGUF


@pytest.mark.real
def test_a_model_that_was_never_taught_to_chat_gets_the_template_fine_tuning_uses(
    tmp_path: Path,
) -> None:
    from finetune.tokenizer import load_tokenizer

    source = folder_with(tmp_path / "plain", chat_template__jinja=None)
    assert any("chat template" in line for line in load_here(tmp_path, folder=source))
    template = (tmp_path / "base_models" / "plain" / "chat_template.jinja").read_text()
    assert "### Assistant:" in template
    assert template == load_tokenizer(source).chat_template


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"config__json": None}, "config.json"),
        ({"config__json": b"{"}, "config.json"),
        ({"tokenizer__json": None}, "tokenizer"),
        ({"model__safetensors": None}, "model.safetensors"),
        ({"model__safetensors": None, "model__bin": b""}, "pickles"),
        ({"model__safetensors": DEMO[WEIGHTS][:-5]}, "5 bytes missing"),
        ({"model__safetensors": b"no weights"}, "Weights damaged"),
        ({"config__json": b'{"num_hidden_layers": null}'}, "config.json"),
        (
            {
                "model__safetensors__index__json": b'{"weight_map": null}',
                "model-1-of-1__safetensors": DEMO[WEIGHTS],
            },
            "weight_map",
        ),
        (
            {
                "model__safetensors__index__json": b'{"weight_map": {"a": "../x"}}',
                "model-1-of-1__safetensors": DEMO[WEIGHTS],
            },
            "'../x'",
        ),
    ],
)
def test_a_folder_that_is_no_whole_model_is_refused(
    tmp_path: Path, changed: dict[str, bytes | None], says: str
) -> None:
    source = folder_with(tmp_path / "mine", **changed)
    with pytest.raises(StageFailed, match=says):
        load_here(tmp_path, folder=source)
    assert list((tmp_path / "base_models").iterdir()) == []


def test_a_gguf_file_becomes_a_base_and_stays_where_it_was(tmp_path: Path) -> None:
    source = tmp_path / "own.gguf"
    source.write_bytes(b"GGUF and so on")
    load_here(tmp_path, gguf=source)
    assert (tmp_path / "base_models" / "own.gguf").read_bytes() == source.read_bytes()
    source.write_bytes(b"a text")
    for missing in (source, tmp_path / "nothing.gguf"):
        with pytest.raises(StageFailed, match=missing.name):
            load_here(tmp_path, gguf=missing)


def test_a_projector_from_here_is_copied_and_must_be_there(tmp_path: Path) -> None:
    model, eye = tmp_path / "own.gguf", tmp_path / "eye.gguf"
    model.write_bytes(b"GGUF and so on")
    with pytest.raises(StageFailed, match=r"eye\.gguf is not there"):
        load_here(tmp_path, gguf=model, mmproj=str(eye))
    eye.write_bytes(b"GGUF eye")
    load_here(tmp_path, gguf=model, mmproj=str(eye))
    assert (tmp_path / "base_models" / "own.mmproj").read_bytes() == b"GGUF eye"
    assert eye.exists()


@pytest.mark.parametrize(
    "wanted", [{"gguf": Path("Q8-00001-of-00003.gguf")}, {"model": "org/a:Q8-00001-of-00003.gguf"}]
)
def test_one_part_of_a_gguf_is_no_base_model(tmp_path: Path, wanted: dict[str, object]) -> None:
    with pytest.raises(StageFailed, match="llama-gguf-split"):
        load_here(tmp_path, **wanted)


def test_only_whole_gguf_files_are_offered() -> None:
    names = ["b.gguf", "a.gguf", "c-00001-of-00002.gguf", "below/d.gguf", "README.md"]
    assert model_folder.ggufs_of(names) == ["a.gguf", "b.gguf"]


def test_what_has_the_name_of_a_licence_and_is_none_is_not_taken() -> None:
    licences = ["LICENSE", "LICENSE-MODEL.txt", "NOTICE", "README.md", "USE_POLICY.md"]
    needless = ["LICENSE.pkl", "NOTICE.safetensors", "README.py", "COPYRIGHT.so"]
    taken = model_folder.files_of([*licences, *needless, "config.json", WEIGHTS], "here")
    assert taken == [*licences[:3], "README.md", "USE_POLICY.md", "config.json", WEIGHTS]


@pytest.mark.parametrize("may_link", [True, False])
def test_a_folder_gets_its_name_when_all_of_it_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, may_link: bool
) -> None:
    if not may_link:
        monkeypatch.setattr(os, "link", refuse_link)
    source = folder_with(tmp_path / "Mine")
    on_disk = watch_fsync(monkeypatch)
    load_here(tmp_path, folder=source)
    made = tmp_path / "base_models" / "Mine"
    assert {path.stat().st_ino for path in (made, *made.iterdir())} <= on_disk


# Names, room, company


@pytest.mark.parametrize("name", ["..", "a/b", "/etc", ".hidden", "a:b", "x--checking", "a" * 71])
def test_a_name_never_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(StageFailed, match="Invalid name"):
        load_here(tmp_path, folder=DEMO_MODEL, name=name)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_differs_by_case_alone_is_taken(tmp_path: Path) -> None:
    (tmp_path / "base_models" / "Mistral").mkdir(parents=True)
    with pytest.raises(StageFailed, match="without case"):
        load_here(tmp_path, folder=DEMO_MODEL, name="mistral")


def test_too_little_disk_is_said_with_numbers_before_anything_comes(tmp_path: Path) -> None:
    wanted = Wanted(tmp_path, gguf=None, folder=DEMO_MODEL, name="tiny")
    needs = r"needs 0\.0[12] GiB .* 0\.00 GiB are free"  # more where it has to be copied
    with pytest.raises(StageFailed, match=needs):
        load(wanted, print, free=lambda _: 10)
    assert list((tmp_path / "base_models").iterdir()) == []


@pytest.mark.parametrize(("kind", "room"), [("gguf", len(b"GGUF and so on")), ("folder", 0)])
def test_room_for_a_copy_is_needed_where_no_link_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, room: int
) -> None:
    source = tmp_path / "own.gguf"
    source.write_bytes(b"GGUF and so on")
    if kind == "folder":
        source = folder_with(tmp_path / "own")
    wanted: dict[str, Any] = {kind: source, "quantization": None, "trial": False}
    load(Wanted(tmp_path, name="linked", **wanted), print, lambda _: room)
    monkeypatch.setattr(os, "link", refuse_link)
    with pytest.raises(StageFailed, match="Not enough disk"):
        load(Wanted(tmp_path, name="copied", **wanted), print, lambda _: room)


def test_the_room_needed_counts_the_file_between_and_the_services_copy() -> None:
    assert room_needed(1600, None) == 0
    assert room_needed(1600, "F16") == 2 * 1600
    assert room_needed(1600, "Q8_0") == 2 * 850
    assert room_needed(1600, "Q4_K_M") == 1600 + 490


def test_two_loads_at_once_do_not_mix(tmp_path: Path) -> None:
    folder = tmp_path / "base_models"
    folder.mkdir()
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(StageFailed, match="Another load"):
            load_here(tmp_path, folder=DEMO_MODEL)
    finally:
        os.close(descriptor)


def test_what_cannot_be_fine_tuned_is_refused_before_its_weights_come(
    hub: Hub, loader: Loader
) -> None:
    config = json.loads(DEMO["config.json"])
    quantized = json.dumps({**config, "quantization_config": {"quant_method": "awq"}}).encode()
    hub.add("org/Tiny-AWQ", {**DEMO, "config.json": quantized})
    assert "is quantized (awq)" in loader.refusal("org/Tiny-AWQ")
    assert loader.names() == []
    assert hub.asked_for(WEIGHTS) == []


def at_start_of_python(folder: Path, program: str) -> str:
    """A PYTHONPATH with which every Python process begins with this program."""
    (folder / "sitecustomize.py").write_text(f"import os, sys, time\n{program}")
    return str(folder)


def test_a_converter_that_is_killed_names_memory_and_not_its_last_chatter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = "print('INFO: chatter', file=sys.stderr, flush=True); os.kill(os.getpid(), 9)"
    monkeypatch.setenv("PYTHONPATH", at_start_of_python(tmp_path, killed))
    with pytest.raises(StageFailed, match="memory ran out"):
        make_gguf(DEMO_MODEL, tmp_path / "out.gguf", "F16", "demo")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux ends a child with its parent")
def test_a_converter_ends_with_the_loader(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    waits = f"open({str(pid) + '.tmp'!r}, 'w').write(str(os.getpid()))\n"
    waits += f"os.rename({str(pid) + '.tmp'!r}, {str(pid)!r}); time.sleep(300)"
    program = (
        "import os, sys; from pathlib import Path; from finetune.bases.gguf import make_gguf;"
        "os.environ['PYTHONPATH'] = sys.argv[1]; make_gguf(Path(), Path(), 'F16', 'demo')"
    )
    loader = subprocess.Popen(
        [sys.executable, "-c", program, at_start_of_python(tmp_path, waits)], cwd=ROOT
    )
    wait_for(pid.exists)
    loader.send_signal(signal.SIGKILL)
    loader.wait()
    wait_for(lambda: not _is_alive(int(pid.read_text())))


def _is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
