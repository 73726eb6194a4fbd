"""`doctor --adopt`: what is found without a row comes back, under its name and for its model."""

import json

import pytest

from api.data_folder import CARD
from api.data_folder.findings import Finding
from api.data_folder.lost import Lost
from api.documents.adopting import adopt as adopt_documents
from api.documents.files import Label
from api.errors import Unavailable
from api.jobs.adopting import adopt as adopt_jobs
from api.jobs.adopting import job_of
from api.models.adopting import adopt as adopt_models
from api.models.adopting import untold
from api.models.bundled import BundledModels
from api.names import CHECKING
from api.runtime import ExistingModel, Persona
from api.store.folders import open_folders
from finetune.job.directory import JobDirectory
from tests.data_folder.place import MORE, Place
from tests.documents.house import House
from tests.documents.pdfs import drawing_only
from tests.fakes import FakeRuntime
from tests.jobs.workshop import Workshop

pytestmark = pytest.mark.anyio


async def adopt(place: Place, house: House) -> list[Finding]:
    """Take the documents back."""
    bundled = BundledModels(house.runtime, [], place.settings.converting_dir)
    return await adopt_documents(house.importer, house.store.collections, bundled, place.settings)


async def test_files_of_a_lost_database_are_imported_again_under_their_names(place: Place) -> None:
    async with place.start() as (house, _):
        await house.bring(MORE[0], "Über uns.pdf", model="ada")
        await house.bring(MORE[1], "for all.pdf", model="")
    place.settings.database_path.unlink()
    async with place.start() as (house, _):
        findings = await adopt(place, house)
        assert [repaired for _, repaired in findings] == [True, True]
        known = {(one.name, one.collection, one.status) for one in house.store.documents.all()}
        assert known == {("Über uns.pdf", "ada", "ready"), ("for all.pdf", "*", "ready")}
        assert house.is_whole()
        house.folders.documents.agree()
    await place.restart()
    assert not place.notes
    assert len(place.kept()) == 2
    assert place.lost() == set()


async def test_a_file_that_two_collections_have_comes_back_into_both(place: Place) -> None:
    async with place.start() as (house, _):
        await house.bring(MORE[0], "rules.pdf", model="ada")
        await house.bring(MORE[0], "Regeln.pdf", model="bob")
        await house.bring(MORE[0], "gone.pdf", model="cleo")
        await house.deleter.delete_document(house.scope("cleo"), "gone")
        await house.deleter.settled()
    place.settings.database_path.unlink()
    async with place.start() as (house, _):
        (finding,) = await adopt(place, house)
        assert {"'rules.pdf'", "'Regeln.pdf'"} <= set(finding.text.rstrip(".").split())
        known = {(one.name, one.collection) for one in house.store.documents.all()}
        assert known == {("rules.pdf", "ada"), ("Regeln.pdf", "bob")}
        assert house.is_whole()
    assert len(place.kept()) == 1


async def test_a_file_that_comes_back_under_one_label_keeps_the_others_until_they_are_taken_back(
    place: Place,
) -> None:
    runtime = FakeRuntime(embedding_model="wide-embedder")
    async with place.start() as (house, _):
        house.runtime.add_models_of(runtime)
        document, _ = await house.bring(MORE[0], "rules.pdf", model="ada")
        labels = [
            Label("rules.pdf", "ada"),
            Label("Regeln.pdf", "bob"),
            Label("wide.pdf", "wide", "wide-embedder"),
        ]
        house.files.relabel(document.content_id, labels)
    store_gone(place)
    async with place.start() as (house, _):
        (finding,) = await adopt(place, house)
        assert not finding.repaired
        assert "imported again as 'rules.pdf' and 'Regeln.pdf'; could" in finding.text
        assert (
            "not be taken back as 'wide.pdf' (The embedding model 'wide-embedder'" in finding.text
        )
        house.runtime.add_models_of(runtime)
        (finding,) = await adopt(place, house)
        assert finding.repaired
        found = house.store.documents.all("ready")
        assert {(one.name, one.collection, one.collection_embedder) for one in found} == {
            ("rules.pdf", "ada", "all-minilm-l6-v2-int8"),
            ("Regeln.pdf", "bob", "all-minilm-l6-v2-int8"),
            ("wide.pdf", "wide", "wide-embedder"),
        }
        assert house.is_whole()
    assert place.lost() == set()


async def test_a_collection_comes_back_with_its_embedding_model(place: Place) -> None:
    runtime = FakeRuntime(embedding_model="wide-embedder", embedding_context=1024)
    async with place.start() as (house, _):
        house.runtime.add_models_of(runtime)
        house.store.collections.create("law", "wide-embedder")
        await house.bring(MORE[0], "law.pdf", model="law")
    store_gone(place)
    async with place.start() as (house, _):
        house.runtime.add_models_of(runtime)
        (finding,) = await adopt(place, house)
        assert finding.repaired
        (collection,) = house.store.collections.page(10)
        assert (collection.name, collection.embedder) == ("law", "wide-embedder")
        (document,) = house.store.documents.all("ready")
        assert document.embedder.startswith("wide-embedder")


@pytest.mark.parametrize(
    "written",
    ['[{"name": 5, "collection": "x"}]', '[{"name": "a.pdf", "collection": null}]', "[5]", "{}"],
)
async def test_a_file_with_a_label_that_nobody_of_us_wrote_comes_back_under_the_name_that_it_has(
    place: Place, written: str
) -> None:
    async with place.start() as (house, _):
        file = house.files.path("doc_0123456789abcdef")
        file.write_bytes(MORE[0])
        file.with_suffix(".json").write_text(written)
        (finding,) = await adopt(place, house)
        assert finding.repaired
        (document,) = house.store.documents.all("ready")
        assert (document.name, document.collection) == ("doc_0123456789abcdef.pdf", "*")


async def test_a_file_whose_name_another_has_meanwhile_is_put_aside_and_comes_back_elsewhere(
    place: Place,
) -> None:
    async with place.start() as (house, _):
        await house.bring(MORE[0], "rules.pdf", model="ada")
        await house.bring(MORE[0], "Regeln.pdf", model="bob")
    store_gone(place)
    async with place.start() as (house, _):
        await house.bring(MORE[1], "rules.pdf", model="ada")
        (finding,) = await adopt(place, house)
        assert "imported again as 'Regeln.pdf'" in finding.text
        assert "as 'rules.pdf' (Another document is named" in finding.text
        assert len(house.store.documents.all("ready")) == 2
    assert len(place.lost()) == 2  # the file and its labels


async def forget_bob(place: Place) -> None:
    """Two models have a file, and yesterday's database knows of one."""
    async with place.start() as (house, _):
        await house.bring(MORE[0], "handbook.pdf", model="ada")
    place.keep_copy("state.sqlite3")
    async with place.start() as (house, _):
        await house.bring(MORE[0], "Handbuch.pdf", model="bob")
    place.put_back("state.sqlite3")


def told(house: House) -> set[tuple[str, str]]:
    return {(one.name, one.collection) for one in house.store.documents.all("ready")}


BOTH = {("handbook.pdf", "ada"), ("Handbuch.pdf", "bob")}


async def test_a_document_that_yesterdays_database_does_not_know_comes_back_though_its_file_has_a_row(
    place: Place,
) -> None:
    await forget_bob(place)
    for _ in range(2):  # no start takes them for one
        await place.restart()
        assert "newer than the database (1 there without a row" in place.notes[0]
    async with place.start() as (house, _):
        (finding,) = await adopt(place, house)
        assert finding.repaired
        assert "'Handbuch.pdf'" in finding.text
        assert told(house) == BOTH
        await house.index.repair()
        assert house.is_whole()
        house.folders.documents.agree()
        assert await adopt(place, house) == []
    await place.restart()
    assert not place.notes
    assert (len(place.kept()), place.lost()) == (1, set())


@pytest.mark.parametrize("meanwhile", ["one more has it", "the known one is deleted"])
async def test_what_happens_before_it_is_taken_back_does_not_lose_it(
    place: Place, meanwhile: str
) -> None:
    await forget_bob(place)
    async with place.start() as (house, _):
        if meanwhile == "one more has it":
            await house.bring(MORE[0], "more.pdf", model="cleo")
            known = {("more.pdf", "cleo"), *BOTH}
        else:
            await house.deleter.delete_document(house.scope("ada"), "handbook")
            await house.deleter.settled()
            known = BOTH - {("handbook.pdf", "ada")}
    async with place.start() as (house, _):
        (finding,) = await adopt(place, house)
        assert finding.repaired
        assert told(house) == known
        await house.index.repair()
        assert house.is_whole()


async def test_what_was_deleted_does_not_come_back_by_its_label(place: Place) -> None:
    async with place.start() as (house, _):
        await house.bring(MORE[0], "handbook.pdf", model="ada")
        await house.bring(MORE[0], "Handbuch.pdf", model="bob")
    place.keep_copy("state.sqlite3", "documents")
    async with place.start() as (house, _):
        await house.bring(MORE[1], "other.pdf", model="ada")
        await house.deleter.delete_document(house.scope("bob"), "Handbuch")
        await house.deleter.settled()
    place.put_back("documents")  # older than the database
    async with place.start() as (house, _):
        assert await adopt(place, house) == []
        assert told(house) == {("handbook.pdf", "ada"), ("other.pdf", "ada")}


async def test_a_file_without_a_label_comes_back_under_the_name_that_it_has(place: Place) -> None:
    await place.restart()
    (place.settings.documents_dir / "doc_0123456789abcdef.pdf").write_bytes(MORE[0])
    store_gone(place)
    async with place.start() as (house, _):
        (finding,) = await adopt(place, house)
        assert finding.repaired
        (document,) = house.store.documents.all("ready")
        assert (document.name, document.collection) == ("doc_0123456789abcdef.pdf", "*")


async def test_documents_of_every_kind_come_back_and_are_put_aside_under_their_ending(
    place: Place,
) -> None:
    async with place.start() as (house, _):
        await house.bring(b"# Rules", "rules.md", kind="md")
    (place.settings.documents_dir / "doc_0123456789abcdef.docx").write_bytes(b"no document")
    place.settings.database_path.unlink()
    async with place.start() as (house, _):
        findings = await adopt(place, house)
        assert all(finding.repaired for finding in findings)
        (document,) = house.store.documents.all()
        assert (document.name, document.kind) == ("rules.md", "md")
        assert house.is_whole()
    assert place.lost() == {"doc_0123456789abcdef.docx"}


async def away(*_: object) -> None:
    """A runtime that does not answer."""
    raise Unavailable("The runtime is away.")


async def test_what_is_no_usable_document_goes_to_lost_and_what_fails_for_a_while_stays(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.restart()
    files = {"doc_0000000000000001.pdf": drawing_only(), "doc_0000000000000002.pdf": MORE[0]}
    for name, content in files.items():
        (place.settings.documents_dir / name).write_bytes(content)
    store_gone(place)
    async with place.start() as (house, _):
        with monkeypatch.context() as patch:
            patch.setattr(house.runtime, "embed", away)
            unusable, waits = await adopt(place, house)
        assert (unusable.repaired, waits.repaired) == (True, False)
        assert "lost" in unusable.text
        (finding,) = await adopt(place, house)
        assert finding.repaired
    assert place.lost() == {"doc_0000000000000001.pdf"}


async def test_the_same_bytes_a_second_time_go_to_lost(place: Place) -> None:
    async with place.start() as (house, _):
        document, _ = await house.bring(MORE[0], "a.pdf")
        copy = house.files.path("doc_0000000000000001")
        copy.write_bytes(MORE[0])
        label = house.files.path(document.id).with_suffix(".json")
        copy.with_suffix(".json").write_text(label.read_text())
        (finding,) = await adopt(place, house)
        assert "'a.pdf'" in finding.text
        assert house.is_whole()
    assert place.lost() == {"doc_0000000000000001.pdf", "doc_0000000000000001.json"}


async def test_jobs_get_the_state_back_that_their_folders_tell_of(place: Place) -> None:
    runtime = FakeRuntime()
    async with Workshop(place.folder, runtime=runtime) as shop:
        succeeded = await shop.until(await shop.submit("tuned"))
    async with Workshop(place.folder, "fails_the_first_time") as shop:
        failed = await shop.until(await shop.submit("failing"))
    shop = Workshop(place.folder)
    queued = await shop.submit("waiting")
    cancelled = await shop.submit("unwanted")
    shop.directory(cancelled).request_cancel()
    running = await shop.submit("running")
    shop.directory(running).request_start()
    trained = await shop.submit("trained")
    shop.directory(trained).write_outcome({"result": "trained"})
    learned_from = shop.store.models.all()["tuned"].lineage
    assert learned_from["job_id"] == succeeded.id
    await shop.vanish()
    before = {path.name for path in place.settings.jobs_dir.iterdir()}
    place.settings.database_path.unlink()

    shop = Workshop(place.folder, runtime=runtime)
    assert len(shop.store.jobs.all()) == 0
    findings = adopt_jobs(shop.store, shop.folder)
    assert all(repaired for _, repaired in findings)
    states = {job.id: job.status for job in shop.store.jobs.all()}
    assert states == {
        succeeded.id: "succeeded",
        failed.id: "failed",
        queued.id: "queued",
        cancelled.id: "cancelled",
        running.id: "running",
        trained.id: "trained",
    }
    again = shop.store.jobs.get(succeeded.id)
    assert again.spec == succeeded.spec
    assert again.gate == succeeded.gate
    assert shop.store.jobs.get(failed.id).error == failed.error
    assert shop.store.jobs.get(trained.id).error  # it is published when somebody wishes
    (finding,) = await adopt_models(shop.store, runtime, None, shop.jobs_dir)
    assert "tuned" in finding.text
    record = shop.store.models.get("tuned")
    assert record
    assert (record.kind, record.base, record.job_id) == ("fine-tune", "demo", succeeded.id)
    assert record.lineage == learned_from
    shop.folder.agree()
    await shop.vanish()
    await place.restart()
    assert {path.name for path in place.settings.jobs_dir.iterdir()} == before


async def test_a_job_that_is_taken_back_goes_on(place: Place) -> None:
    shop = Workshop(place.folder)
    job = await shop.submit("tuned")
    await shop.vanish()
    place.settings.database_path.unlink()
    async with Workshop(place.folder) as shop:
        adopt_jobs(shop.store, shop.folder)
        shop.supervisor.wake()
        assert (await shop.until(job)).status == "succeeded"


async def test_a_folder_that_says_nothing_of_its_job_goes_to_lost(place: Place) -> None:
    await place.restart()
    folder = place.settings.jobs_dir / "job_0123456789abcdef"
    folder.mkdir()
    (folder / "spec.json").write_text('{"rank": 1}')
    with pytest.raises(ValueError, match="model_name"):
        job_of(JobDirectory(folder))
    store_gone(place)
    shop = Workshop(place.folder)
    (finding,) = adopt_jobs(shop.store, shop.folder)
    assert "spec.json" in finding.text
    assert place.lost() == {folder.name}
    await shop.vanish()


@pytest.mark.parametrize("of_another_release", [{"version": 2}, {"method": "telepathy"}])
async def test_a_job_of_another_release_stays_where_it_is(
    place: Place, of_another_release: dict[str, object]
) -> None:
    await place.add(0)
    store_gone(place)
    (spec,) = place.settings.jobs_dir.glob("job_*/spec.json")
    spec.write_text(json.dumps(json.loads(spec.read_text()) | of_another_release))
    shop = Workshop(place.folder)
    (finding,) = adopt_jobs(shop.store, shop.folder)
    assert not finding.repaired
    assert "stays as it is" in finding.text
    assert str(next(iter(of_another_release.values()))) in finding.text
    await shop.vanish()
    await place.restart()
    assert spec.is_file()
    shop = Workshop(place.folder)
    shop.folder.agree()
    await shop.vanish()
    await place.restart()
    assert spec.is_file()
    assert place.lost() == set()


async def test_personas_of_a_lost_database_are_known_again(place: Place) -> None:
    await place.restart()
    manifests = place.settings.models_dir / "manifests"
    manifests.mkdir(parents=True)
    made_of = [("demo", None), ("ada", "bob"), ("bob", "bob"), ("other", None)]
    for number, (name, base) in enumerate(made_of):
        weights = "sha256-1.gguf" if name == "other" else "sha256-0.gguf"
        manifest = {"name": name, "base": base, "blob": weights}
        (manifests / f"{number:032x}.json").write_text(json.dumps(manifest))
    store_gone(place)
    async with place.start() as (house, _):
        folders = open_folders(place.settings, house.store)
        assert folders.models
        assert "models/" in folders.models.note
        findings = await adopt_models(
            house.store, FakeRuntime(), folders.models, place.settings.jobs_dir
        )
        assert len(findings) == 2
        records = house.store.models.all()
        told = {(one.name, one.kind, one.base, one.root) for one in records.values()}
        assert told == {("ada", "persona", "bob", "demo"), ("bob", "persona", "bob", "demo")}
        folders.models.agree()
        assert not open_folders(place.settings, house.store).notes


async def test_a_fine_tune_whose_job_is_deleted_is_known_again_by_its_manifest(
    place: Place,
) -> None:
    await place.restart()
    manifests = place.settings.models_dir / "manifests"
    manifests.mkdir(parents=True)
    trained = {"base": "ada", "root": "demo", "lineage": {"job_id": "job_1", "base": "demo"}}
    made_of = [
        ("demo", None, None),
        ("tuned", None, trained),
        ("again", "again", trained),  # made anew over itself
        ("eve", "tuned", None),
        (f"half{CHECKING}", None, trained),
    ]
    for number, (name, base, trained_from) in enumerate(made_of):
        blob = "sha256-1.gguf" if name in {"tuned", "eve"} else f"sha256-{number + 2}.gguf"
        manifest = {"name": name, "base": base, "blob": blob, "trained_from": trained_from}
        (manifests / f"{number:032x}.json").write_text(json.dumps(manifest))
    store_gone(place)
    async with place.start() as (house, _):
        folders = open_folders(place.settings, house.store)
        assert folders.models
        assert "models/" in folders.models.note
        runtime = FakeRuntime()
        for name in ("tuned", "old"):
            await runtime.create_model(name, ExistingModel("demo"), Persona())
        findings = await adopt_models(house.store, runtime, folders.models, place.settings.jobs_dir)
        assert "Model tuned is known again as trained from ada." in [text for text, _ in findings]
        records = house.store.models.all()
        assert {(one.name, one.kind, one.base, one.root) for one in records.values()} == {
            ("tuned", "fine-tune", "ada", "demo"),
            ("again", "fine-tune", "ada", "demo"),
            ("eve", "persona", "tuned", "demo"),
        }
        assert records["tuned"].lineage == trained["lineage"]
        assert await untold(house.store, runtime, folders.models, []) == ["old"]
        assert await untold(house.store, runtime, None, ["demo"]) == ["old"]
        folders.models.agree()
        assert not open_folders(place.settings, house.store).notes


async def test_only_a_purge_empties_what_is_lost_and_only_of_what_we_made(place: Place) -> None:
    await place.restart()
    (place.settings.documents_dir / "doc_0123456789abcdef.pdf").write_bytes(MORE[0])
    (place.settings.jobs_dir / "job_0123456789abcdef" / "inputs").mkdir(parents=True)
    await place.restart()
    (theirs,) = (place.folder / "lost").glob("*/documents")
    (theirs / "notes.txt").write_text("mine")
    for _ in range(2):
        await place.restart()
    assert len(place.lost()) == 3
    guarded = (place.settings.documents_dir, place.settings.jobs_dir)
    assert len(Lost(place.folder).purge(*guarded)) == 2
    assert place.lost() == {"notes.txt"}
    (theirs / "notes.txt").unlink()
    assert (place.settings.documents_dir / CARD).is_file()


def store_gone(place: Place) -> None:
    """The database was moved away."""
    place.settings.database_path.unlink()
    for rest in place.folder.glob("state.sqlite3-*"):
        rest.unlink()
