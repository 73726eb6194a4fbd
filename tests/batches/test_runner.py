"""Which batches run: of each key some, so that many of one key hold up none of another."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api.batches.batches import MOST_A_KEY, Batches, Wanted
from api.batches.line import AT_ONCE
from api.batches.runner import BatchRunner
from api.batches.values import Answer, Ask, Batch, from_card
from api.data_folder.cards import Cards
from api.data_folder.shelf import Shelf
from api.datasets.opening import open_datasets
from api.datasets.receiving import Upload
from api.errors import NotFound, TooManyRequests
from api.files.files import Files
from api.files.opening import open_files
from api.models.bases import BaseModels
from api.names import WORKSPACE
from api.settings import Settings
from tests.batches.test_rows import GOOD, URL, written
from tests.databases import open_migrated

pytestmark = pytest.mark.anyio
DONE = Answer(200, "req_1", b"{}")


@pytest.fixture
async def files(tmp_path: Path) -> AsyncIterator[Files]:
    settings, store = Settings(data_dir=tmp_path), open_migrated(tmp_path / "state.sqlite3")
    bases = BaseModels(settings.base_models_dir, store.models)
    yield open_files(settings, open_datasets(settings, bases))
    store.close()


@pytest.fixture
async def runner(tmp_path: Path) -> AsyncIterator[BatchRunner]:
    shelf = Shelf(tmp_path / "batches", "batch", "batch")
    runner = BatchRunner(Cards(shelf, from_card), rows_at_once=2, retry_seconds=0.01)
    yield runner
    await runner.close()


async def begun(files: Files, runner: BatchRunner, ask: Ask) -> tuple[Batches, Wanted]:
    """Batches that are brought on, and what one of a single row is."""
    batches = Batches(runner.cards.shelf.of(WORKSPACE), files, runner)
    batches.start(lambda _: files, ask)
    with written(runner.cards.shelf.path.with_name("rows.jsonl"), GOOD).open("rb") as file:
        sent = await files.receive(Upload(file, "rows.jsonl"), "batch")
    return batches, Wanted(sent.id, URL)


async def ended(batches: Batches, batch: Batch) -> Batch:
    async with asyncio.timeout(60):
        while not (batch := await batches.get(batch.id)).is_over:
            await asyncio.sleep(0.01)
    return batch


async def test_many_batches_of_one_key_do_not_hold_up_the_first_of_another(
    files: Files, runner: BatchRunner
) -> None:
    asked: list[str] = []
    let_go = asyncio.Event()

    async def ask(key: str, path: str, body: bytes) -> Answer:
        asked.append(key)
        if key == "many":
            await let_go.wait()
        return DONE

    batches, wanted = await begun(files, runner, ask)
    many = [await batches.create(wanted, "many") for _ in range(AT_ONCE + 2)]
    async with asyncio.timeout(60):
        while len(asked) < AT_ONCE:
            await asyncio.sleep(0.01)
    few = await batches.create(wanted, "few")
    assert (await ended(batches, few)).status == "completed"
    assert asked.count("many") == AT_ONCE
    assert (runner.length("many"), batches.figures()[1]) == (AT_ONCE + 2, 2)
    let_go.set()
    for one in many:
        assert (await ended(batches, one)).status == "completed"


async def never(key: str, path: str, body: bytes) -> Answer:
    await asyncio.Event().wait()
    return DONE


async def test_one_that_waits_for_others_is_cancelled_at_once(
    files: Files, runner: BatchRunner
) -> None:
    batches, wanted = await begun(files, runner, never)
    *others, late = [await batches.create(wanted, "many") for _ in range(AT_ONCE + 1)]
    await batches.cancel(late.id)
    assert (await ended(batches, late)).status == "cancelled"
    assert not any([(await batches.get(one.id)).is_over for one in others])


async def test_those_that_come_at_once_find_no_more_room_than_there_is(
    files: Files, runner: BatchRunner
) -> None:
    batches, wanted = await begun(files, runner, never)
    asked = [batches.create(wanted, "many") for _ in range(MOST_A_KEY + 5)]
    made = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(one, TooManyRequests) for one in made) == 5
    assert runner.length("many") == MOST_A_KEY


async def test_a_batch_that_breaks_off_is_brought_on_again(
    files: Files, runner: BatchRunner
) -> None:
    failures: list[Exception] = [RuntimeError("nobody expects this"), OSError(28, "Disk full")]

    async def ask(key: str, path: str, body: bytes) -> Answer:
        if failures:
            raise failures.pop()
        return DONE

    batches, wanted = await begun(files, runner, ask)
    batch = await ended(batches, await batches.create(wanted, "a"))
    assert (batch.status, batch.counts.completed) == ("completed", 1)


async def test_rows_that_cannot_be_answered_for_now_let_others_go_before(
    tmp_path: Path, files: Files, runner: BatchRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.batches.asking.RETRY_SECONDS", 0.01)
    ready = False

    async def ask(key: str, path: str, body: bytes) -> Answer:
        return Answer(503, "req_1", b"{}") if b"slow" in body and not ready else DONE

    batches, _ = await begun(files, runner, ask)
    texts = ["slow", "slow", "slow", "x", "x"]  # more than are asked at once
    lines = [{**GOOD, "custom_id": str(n), "body": {"input": t}} for n, t in enumerate(texts)]
    with written(tmp_path / "rows.jsonl", *lines).open("rb") as file:
        sent = await files.receive(Upload(file, "rows.jsonl"), "batch")
    batch = await batches.create(Wanted(sent.id, URL), "a")
    async with asyncio.timeout(60):
        while (await batches.get(batch.id)).counts.completed < 2:
            await asyncio.sleep(0.01)
    ready = True
    assert (await ended(batches, batch)).counts.completed == 5


async def test_a_damaged_card_is_in_no_list_and_is_named(
    files: Files, runner: BatchRunner, caplog: pytest.LogCaptureFixture
) -> None:
    batches, wanted = await begun(files, runner, never)
    whole, damaged = [await batches.create(wanted, "a") for _ in range(2)]
    card = runner.cards.shelf.path / damaged.id / "batch.json"
    card.write_text(card.read_text().replace(damaged.created_at, "yesterday"))
    found, _ = await batches.page(None, 10)
    assert [one.id for one in found] == [whole.id]
    assert damaged.id in caplog.text
    assert batches.unreadable() == [damaged.id]
    with pytest.raises(NotFound, match="cannot be read"):
        await batches.get(damaged.id)


async def test_its_own_bytes_are_asked_when_the_file_is_deleted_meanwhile(
    files: Files, runner: BatchRunner
) -> None:
    async def ask(key: str, path: str, body: bytes) -> Answer:
        await files.delete(wanted.input_file)
        return DONE

    batches, wanted = await begun(files, runner, ask)
    batch = await ended(batches, await batches.create(wanted, "a"))
    assert (batch.status, batch.counts.completed) == ("completed", 1)
