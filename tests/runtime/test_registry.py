"""The model folder survives crashes, damage and odd names."""

import json
import resource
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from api.errors import BackEndFailed, NameTaken, OutOfSpace
from api.runtime import Options, Persona, TrainedFrom
from api.runtime.llama_cpp.manifest import Entry
from api.runtime.llama_cpp.registry import Registry


@pytest.fixture
def folder(registry_of_two: Callable[[Path], None], tmp_path: Path) -> Path:
    registry_of_two(tmp_path / "models")
    return tmp_path / "models"


def names(registry: Registry) -> list[str]:
    return [entry.name for entry in registry.entries()]


def add(registry: Registry, name: str, source: Path) -> Entry:
    incoming = registry.receive(source)
    try:
        while incoming.copy_part():
            pass
        blob = registry.place(incoming)
    finally:
        incoming.discard()
    try:
        return registry.record(name, blob, Persona(), None, may_replace=False)
    finally:
        registry.release(blob)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_what_was_recorded_is_there_after_reopening(folder: Path) -> None:
    demo = Registry(folder).get("demo")
    persona = Persona("You are {x}.", "{{ messages }}", Options(stop=("a", "b"), temperature=0.5))
    Registry(folder).record("Kapitän ½", demo.blob, persona, "demo", may_replace=False)
    entry = Registry(folder).get("KAPITÄN ½")
    assert entry.persona == persona
    assert entry.base == "demo"


def test_what_a_fine_tune_was_trained_from_stays_with_it(folder: Path) -> None:
    registry = Registry(folder)
    blob, trained_from = registry.get("demo").blob, TrainedFrom("ada", "demo")
    registry.record("half", blob, Persona(), None, may_replace=False, trained_from=trained_from)
    registry.rename("half", "tuned")
    assert Registry(folder).get("tuned").trained_from == trained_from
    registry.record("Tuned", blob, Persona("You are {x}."), "tuned", may_replace=True)
    assert Registry(folder).get("tuned").trained_from == trained_from
    registry.record("tuned", blob, Persona(), "demo", may_replace=True)
    assert Registry(folder).get("tuned").trained_from is None


def test_a_manifest_of_an_earlier_release_is_read(folder: Path) -> None:
    for path in (folder / "manifests").iterdir():
        content = json.loads(path.read_text())
        del content["trained_from"]
        path.write_text(json.dumps(content))
    registry = Registry(folder)
    assert registry.get("demo").trained_from is None
    assert not registry.unreadable


def test_the_same_weights_are_kept_once(folder: Path, demo_gguf: Path) -> None:
    registry = Registry(folder)
    before = len(files(folder / "blobs"))
    first, second = add(registry, "one", demo_gguf), add(registry, "two", demo_gguf)
    assert first.blob == second.blob
    assert len(files(folder / "blobs")) == before


def test_weights_go_with_the_last_model_made_of_them(folder: Path, demo_gguf: Path) -> None:
    registry = Registry(folder)
    add(registry, "copy", demo_gguf)
    path = registry.path(registry.get("demo").blob)
    registry.delete("demo")
    assert path.is_file()
    registry.delete("copy")
    assert not path.exists()


def test_opening_removes_what_a_crash_left_and_puts_weights_of_no_model_aside(folder: Path) -> None:
    sound = files(folder)
    nobodys = folder / "blobs" / f"sha256-{'0' * 64}.gguf"
    nobodys.write_bytes(b"no model refers to it")
    (folder / "blobs" / f"{'0' * 32}.tmp").write_bytes(b"GGUF half a file")
    (folder / "manifests" / f"{'0' * 32}.tmp").write_text('{"name": "ha')
    put_aside: list[Path] = []
    registry = Registry(folder, set_aside=put_aside.append)
    assert put_aside == [nobodys]
    assert files(folder) == {*sound, nobodys.name}
    assert names(registry) == ["demo", "embedder"]


def test_opening_a_folder_of_doubt_removes_nothing(folder: Path) -> None:
    (folder / "blobs" / f"sha256-{'0' * 64}.gguf").write_bytes(b"no model refers to it")
    (folder / "blobs" / f"{'0' * 32}.tmp").write_bytes(b"GGUF half a file")
    before = files(folder)
    Registry(folder)
    assert files(folder) == before


def test_what_others_keep_in_the_folder_harms_nothing_and_stays(folder: Path) -> None:
    for place in (folder / "blobs", folder / "manifests"):
        for name in ("notes.json", "half.tmp", "sha256-notes.gguf", "._notes.json"):
            (place / name).write_text("mine")
        (place / "lost+found").mkdir(mode=0o000)
        (place / f"{'0' * 32}.json").symlink_to(place / "notes.json")
    before = files(folder)
    registry = Registry(folder, set_aside=Path.unlink)
    assert names(registry) == ["demo", "embedder"]
    assert not registry.unreadable
    registry.delete("demo")
    assert {"notes.json", "half.tmp", "sha256-notes.gguf"} < files(folder) < before


def test_a_copy_that_is_broken_off_leaves_nothing(folder: Path, demo_gguf: Path) -> None:
    sound = files(folder)
    incoming = Registry(folder).receive(demo_gguf)
    incoming.copy_part()
    incoming.discard()
    assert files(folder) == sound


def test_an_unreadable_manifest_is_named_and_no_weights_are_lost(folder: Path) -> None:
    blob = Registry(folder).get("demo").blob
    manifest = folder / "manifests" / Registry(folder).get("demo").manifest
    manifest.write_text(manifest.read_text()[:40])
    registry = Registry(folder)
    assert registry.unreadable == (manifest.name,)
    assert names(registry) == ["embedder"]
    assert registry.path(blob).is_file()


def test_a_manifest_cannot_point_out_of_the_folder(folder: Path) -> None:
    manifest = folder / "manifests" / Registry(folder).get("demo").manifest
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**content, "blob": "../../secret.gguf"}))
    assert Registry(folder).unreadable == (manifest.name,)


@pytest.mark.parametrize("name", ["../../up", "/etc/passwd", "a\x00b", "-rf", "CON", "\u202ename"])
def test_a_name_never_becomes_a_path(folder: Path, name: str) -> None:
    registry = Registry(folder)
    entry = registry.record(name, registry.get("demo").blob, Persona(), "demo", may_replace=False)
    assert (folder / "manifests" / entry.manifest).is_file()
    assert Registry(folder).get(name).name == name


def test_of_many_records_with_one_name_one_wins(folder: Path) -> None:
    registry = Registry(folder)
    blob = registry.get("demo").blob
    taken: list[NameTaken] = []

    def record() -> None:
        try:
            registry.record("twin", blob, Persona(), "demo", may_replace=False)
        except NameTaken as error:
            taken.append(error)

    threads = [threading.Thread(target=record) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 7
    assert names(Registry(folder)) == ["demo", "embedder", "twin"]


def test_missing_weights_are_a_clear_failure(folder: Path) -> None:
    registry = Registry(folder)
    entry = registry.get("demo")
    registry.path(entry.blob).unlink()
    with pytest.raises(BackEndFailed, match="missing"):
        registry.header(entry.blob)
    assert registry.info(entry).size_bytes == 0
    assert "chat" in registry.info(entry).capabilities


def test_a_full_disk_is_said_and_leaves_nothing(folder: Path, demo_gguf: Path) -> None:
    registry = Registry(folder)
    sound = files(folder)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OutOfSpace):
            add(registry, "big", demo_gguf)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert files(folder) == sound
    add(registry, "big", demo_gguf)
