"""What comes out of a PDF, and how a hostile one ends."""

import shutil
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from api.documents.extract import Bounds
from api.documents.reading.text import clean
from api.errors import DocumentUnusable
from api.store.contents import Extracted
from tests.documents.pdfs import drawing_only, encrypted, pdf
from tests.documents.reading import extract

pytestmark = pytest.mark.anyio

BOUNDS = Bounds(pages=20, characters=10_000, seconds=30, memory_bytes=512 * 2**20)
EXTRACT = """
import asyncio
from api.documents.extract import Bounds, extract, open_server
from api.errors import DocumentUnusable
try:
    asyncio.run(extract(open_server(), "any", Bounds(1, 1, 60, 2**29)))
except DocumentUnusable as error:
    print(error.detail)
"""
ANSWER = """
def answer():
    sys.stdin.read()
    print('{"reason": "copied", "detail": "The reader of this copy."}', flush=True)
"""


def page_objects(contents: list[bytes]) -> bytes:
    """A PDF written by hand: one page a content stream; a page without content is not there at all."""
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"",
        b"<</Type/Font/Subtype/Type1/BaseFont/Arial>>",
    ]
    kids = []
    for content in contents:
        kids.append(f"{len(objects) + 1} 0 R".encode())
        if not content:
            objects.append(b"null")
            continue
        page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents %d 0 R"
        objects.append(page % (len(objects) + 2) + b"/Resources<</Font<</F 3 0 R>>>>>>")
        stream = zlib.compress(content, 9)
        head = b"<</Length %d/Filter/FlateDecode>>stream\n" % len(stream)
        objects.append(head + stream + b"\nendstream")
    objects[1] = b"<</Type/Pages/Count %d/Kids[%s]>>" % (len(kids), b" ".join(kids))
    body = b"".join(b"%d 0 obj\n%s\nendobj\n" % pair for pair in enumerate(objects, start=1))
    return b"%PDF-1.4\n" + body + b"trailer<</Root 1 0 R/Size %d>>\n%%%%EOF" % (len(objects) + 1)


def text_stream(text: str, times: int = 1) -> bytes:
    return b"BT /F 12 Tf 50 700 Td " + f"({text}) Tj 0 -14 Td ".encode() * times + b"ET"


async def read(folder: Path, content: bytes, bounds: Bounds = BOUNDS) -> Extracted:
    file = folder / "any"
    file.write_bytes(content)
    return await extract(file, bounds)


async def refused(folder: Path, content: bytes, bounds: Bounds = BOUNDS) -> str:
    with pytest.raises(DocumentUnusable) as refusal:
        await read(folder, content, bounds)
    assert refusal.value.detail
    assert str(folder) not in refusal.value.detail
    return refusal.value.reason


async def test_pages_keep_their_numbers_and_the_title_is_taken(tmp_path: Path) -> None:
    found = await read(tmp_path, pdf("One fish.", "", "Two fish.", title="Fishes"))
    assert found.title == "Fishes"
    assert [(page.number, page.text) for page in found.pages] == [
        (1, "One fish."),
        (2, ""),
        (3, "Two fish."),
    ]


async def test_without_a_title_the_first_words_are_one(tmp_path: Path) -> None:
    assert (await read(tmp_path, pdf("Rules of\nthe house", "Text."))).title == "Rules of the house"


async def test_it_is_told_in_which_language_it_is(tmp_path: Path) -> None:
    german = "Das Parken kostet einen Euro, und der Ausweis ist nicht übertragbar."
    assert (await read(tmp_path, pdf(german))).language == "de"
    assert (await read(tmp_path, pdf("Konstanz 2025"))).language == ""


async def test_a_page_that_cannot_be_read_does_not_fail_the_document(tmp_path: Path) -> None:
    found = await read(tmp_path, page_objects([text_stream("one"), b"", text_stream("three")]))
    assert [page.text for page in found.pages] == ["one", "three"]
    assert found.unreadable == (2,)


async def test_files_that_cannot_be_used_say_why(tmp_path: Path) -> None:
    text = pdf("Some words.", "More words.")
    assert await refused(tmp_path, b"%PDF-1.7 and then nothing") == "broken"
    assert await refused(tmp_path, b"") == "broken"
    assert await refused(tmp_path, encrypted(text, tmp_path, "secret")) == "encrypted"
    assert await refused(tmp_path, drawing_only()) == "no_text"
    assert await refused(tmp_path, text, replace(BOUNDS, pages=1)) == "too_many_pages"
    assert await refused(tmp_path, text, replace(BOUNDS, characters=15)) == "too_much_text"


async def test_a_file_locked_without_a_password_is_read(tmp_path: Path) -> None:
    found = await read(tmp_path, encrypted(pdf("Open to all."), tmp_path, ""))
    assert found.pages[0].text == "Open to all."


async def test_a_password_opens_what_it_locks_and_no_other_does(tmp_path: Path) -> None:
    file = tmp_path / "any"
    file.write_bytes(encrypted(pdf("For members."), tmp_path, "grün"))
    found = await extract(file, BOUNDS, password="grün")
    assert found.pages[0].text == "For members."
    with pytest.raises(DocumentUnusable) as refusal:
        await extract(file, BOUNDS, password="rot")
    assert refusal.value.reason == "encrypted"
    assert "`password`" in refusal.value.detail


async def test_a_parser_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    slow = replace(BOUNDS, seconds=0.01)
    assert await refused(tmp_path, pdf("Some words."), slow) == "too_slow"


async def test_a_small_file_that_unfolds_to_very_much_ends_only_its_own_process(
    tmp_path: Path,
) -> None:
    bomb = page_objects([b" " * 120_000_000])
    assert len(bomb) < 200_000
    tight = replace(BOUNDS, memory_bytes=96 * 2**20)
    assert await refused(tmp_path, bomb, tight) == "too_much_memory"


def test_text_is_cleaned_of_what_cannot_be_stored() -> None:
    assert clean("a\x00b\r\nc\ud800d \r\x1b[e\tf\n\n") == "a b\ncd\n [e f"
    assert clean("\ud83d\ude00") == "\U0001f600"


async def test_the_reader_is_found_beside_the_code_that_starts_it(tmp_path: Path) -> None:
    copy = tmp_path / "api"
    shutil.copytree(Path(__file__).parents[2] / "api", copy, ignore=shutil.ignore_patterns("__py*"))
    reader = copy / "documents" / "reading" / "requested.py"
    with reader.open("a") as opened:
        opened.write(ANSWER)
    environment = {"PYTHONPATH": str(tmp_path)}  # as in the containers, where nothing is installed
    command = [sys.executable, "-c", EXTRACT]
    ended = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True)
    assert ended.stdout == "The reader of this copy.\n", ended.stderr
