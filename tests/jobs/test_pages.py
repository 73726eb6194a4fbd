"""Imported documents to go on learning from: their pages become the rows, and the job says of which documents."""

from pathlib import Path
from typing import Any

import pytest

from api.errors import DatasetUnusable, DocumentNotFound, InvalidOption
from api.jobs.pages import PagesOf
from api.jobs.submit import Submission
from api.store.contents import Extracted, Page
from finetune.data.rows import Text, read_rows
from finetune.job.directory import ROWS
from tests.jobs.client import client_of
from tests.jobs.workshop import Workshop, csv_file, refused, submission

pytestmark = pytest.mark.anyio

PAGES = ("The wifi is called Aurora.", "Rooms are cleaned on Mondays.", "Lunch is at noon.")


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    shop = Workshop(tmp_path)
    for name, model in (("handbook.pdf", "demo"), ("rules.pdf", "")):
        collection = shop.store.collections.of_model(model)
        document = shop.store.documents.add(name, collection, name, 10, "tiny").document
        pages = [Page(n, f"{name}: {text}") for n, text in enumerate(PAGES, 1)]
        shop.store.contents.set_pages(document.content_id, Extracted("", tuple(pages)))
        shop.store.documents.mark_placed(document.id, "tiny:4")
        shop.store.documents.mark_ready(document.id)
    return shop


def asked(*names: str, collection: str = "", method: str = "pretrain") -> Submission:
    return Submission("tuned", "demo", {"method": method}, {}, pages=PagesOf(names, collection))


@pytest.mark.parametrize(
    ("submitted", "documents"),
    [
        (asked("*"), ["handbook.pdf", "rules.pdf"]),
        (asked("handbook"), ["handbook.pdf"]),
        (asked(collection="demo"), ["handbook.pdf"]),
    ],
)
async def test_a_row_is_a_page(shop: Workshop, submitted: Submission, documents: list[str]) -> None:
    job = await shop.submitter.submit(submitted)
    rows = [
        row.text
        for row in read_rows(shop.directory(job).input_path("train", ROWS))
        if isinstance(row, Text)
    ]
    assert rows == [f"{name}: {text}" for name in documents for text in PAGES]
    origin = job.spec["datasets"]["train"]
    assert [one["name"] for one in origin["documents"]] == documents


@pytest.mark.parametrize(
    ("submitted", "error", "says"),
    [
        (asked("*", method="sft"), InvalidOption, "Use method=pretrain"),
        (asked("nowhere"), DocumentNotFound, "nowhere"),
        (
            Submission(
                "tuned", "demo", {"method": "pretrain"}, submission().datasets, pages=PagesOf("*")
            ),
            InvalidOption,
            "Send either documents or train_dataset",
        ),
    ],
)
async def test_what_gives_no_texts_is_refused(
    shop: Workshop, submitted: Submission, error: type[Exception], says: str
) -> None:
    refusal = await refused(shop.submitter.submit(submitted))
    assert isinstance(refusal, error)
    assert says in refusal.detail
    assert shop.left_behind() == []


async def test_nothing_imported_is_said(tmp_path: Path) -> None:
    refusal = await refused(Workshop(tmp_path / "bare").submitter.submit(asked("*")))
    assert isinstance(refusal, DatasetUnusable)
    assert "import documents first" in refusal.detail


async def test_over_http_documents_stand_in_the_place_of_the_file(shop: Workshop) -> None:
    async with client_of(shop) as client:
        url = "/fine_tune_model/tuned"
        wanted: dict[str, Any] = {"method": "pretrain", "documents": ["handbook", "rules.pdf"]}
        answer = await client.post(url, params={**wanted, "dry_run": "true"})
        assert answer.status_code == 200, answer.text
        assert answer.json()["rows"] == 6
        bare = await client.post(url, params={"method": "pretrain"})
        assert bare.status_code == 422
        assert "`documents` or `collection` will do" in bare.json()["detail"]
        both = await client.post(
            url, params=wanted, files={"train_dataset": ("a.csv", csv_file().getvalue())}
        )
        assert both.status_code == 422
