"""`kill -9` of a real service while it answers a batch of 200 rows: in the end no row is there twice, none is lost."""

import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from openai.types import Batch

from api import faults
from tests.e2e.conftest import Server, copy_of

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

ROWS = 200
REFUSED = {f"row-{number}" for number in range(0, ROWS, 20)}
"""Rows that ask a model that is not there."""
POINTS = (
    "batch_placed",
    "batch_checked",
    "batch_row_written:1",
    "batch_row_written:77",
    "batch_row_written:101",
    "batch_files_named",
    "batch_file_made",
    "batch_file_made",  # the second one
    "batch_ended",
)
"""What one batch is killed at, one after the other; rows are counted from the start before."""
MOMENTS = 6
"""Kills at some moment of a batch, as they come."""
PATIENCE_SECONDS = 600


@pytest.fixture
def server(prepared_data: Path, tmp_path: Path) -> Iterator[Server]:
    server = Server(copy_of(prepared_data, tmp_path / "data"))
    yield server
    if server.process and server.process.poll() is None:
        server.stop()


def sdk_of(server: Server) -> openai.OpenAI:
    url = f"{str(server.client.base_url).rstrip('/')}/v1"
    return openai.OpenAI(base_url=url, api_key="none", max_retries=0)


def rows() -> bytes:
    """Short answers of the demo model, and some refusals."""
    lines = []
    for number in range(ROWS):
        custom_id = f"row-{number}"
        model = "nobody" if custom_id in REFUSED else "demo"
        turns = [{"role": "user", "content": f"What is {number}?"}]
        body = {"model": model, "messages": turns, "max_tokens": 4}
        url = "/v1/chat/completions"
        lines.append({"custom_id": custom_id, "method": "POST", "url": url, "body": body})
    return "\n".join(map(json.dumps, lines)).encode()


def begun(server: Server) -> str:
    """The id of a batch; that of one whose maker died before it could tell it."""
    sdk = sdk_of(server)
    file = sdk.files.create(file=("rows.jsonl", rows()), purpose="batch")
    try:
        made = sdk.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
    except openai.APIConnectionError:
        (folder,) = (server.data_dir / "batches").glob("batch_*")
        return folder.name
    return made.id


def until_dead(server: Server) -> None:
    assert server.process
    assert server.process.wait(timeout=PATIENCE_SECONDS) == 137, server.log()


def ended(server: Server, id: str) -> Batch:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (batch := sdk_of(server).batches.retrieve(id)).completed_at:
        assert time.monotonic() < deadline, batch
        assert batch.status in ("validating", "in_progress", "finalizing"), batch
        time.sleep(0.2)
    return batch


def require_each_row_once(server: Server, batch: Batch) -> None:
    """In the files that the batch names, and in no other ones."""
    sdk = sdk_of(server)
    assert batch.request_counts
    assert (batch.status, batch.request_counts.total) == ("completed", ROWS)
    written = Counter[str]()
    for file, expected in (
        (batch.output_file_id, {f"row-{number}" for number in range(ROWS)} - REFUSED),
        (batch.error_file_id, REFUSED),
    ):
        lines = sdk.files.content(str(file)).text.splitlines()
        ids = Counter(json.loads(line)["custom_id"] for line in lines)
        assert set(ids) == expected
        written += ids
    assert set(written.values()) == {1}
    assert sum(written.values()) == ROWS
    made = sdk.files.list(extra_query={"purpose": "batch_output"}).data
    names = [one.filename for one in made if one.filename.startswith(batch.id)]
    assert len(names) == 2, names
    (card,) = (server.data_dir / "batches" / batch.id).iterdir()
    assert card.name == "batch.json"


def test_at_every_point_of_its_way(server: Server) -> None:
    names = {name for name in faults.NAMES if name.startswith("batch_")}
    assert {one.partition(":")[0] for one in POINTS} == names
    server.start(LLM_FASTAPI_FAULT=POINTS[0])
    id = begun(server)
    until_dead(server)
    for point in POINTS[1:]:
        server.start(ready=False, LLM_FASTAPI_FAULT=point)
        until_dead(server)
    server.start()
    require_each_row_once(server, ended(server, id))


def test_at_any_moment(server: Server) -> None:
    chance = random.Random(13)
    server.start()
    id = begun(server)
    told = []
    for _ in range(MOMENTS):
        time.sleep(chance.uniform(0.2, 2.0))
        counts = sdk_of(server).batches.retrieve(id).request_counts
        assert counts
        told.append(counts.completed + counts.failed)
        server.kill()
        server.start()
        counts = sdk_of(server).batches.retrieve(id).request_counts
        assert counts
        assert counts.completed + counts.failed >= told[-1]
    require_each_row_once(server, ended(server, id))
    assert 0 < max(told) < ROWS, told
