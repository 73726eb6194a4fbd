"""HTML, Markdown, text and CSV: what is read of them, and how hostile ones end."""

from dataclasses import replace
from pathlib import Path

import pytest

from api.documents.extract import Bounds
from api.errors import DocumentUnusable
from api.store.contents import Extracted
from tests.documents.reading import extract

pytestmark = pytest.mark.anyio

BOUNDS = Bounds(pages=200, characters=100_000, seconds=30, memory_bytes=512 * 2**20)

LONG = "word " * 200 + "word."
"""A paragraph of a thousand characters."""


async def read(folder: Path, content: str | bytes, kind: str, bounds: Bounds = BOUNDS) -> Extracted:
    file = folder / "any"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return await extract(file, bounds, kind)


async def text_of(folder: Path, content: str | bytes, kind: str) -> str:
    return "\f".join(page.text for page in (await read(folder, content, kind)).pages)


async def refused(
    folder: Path, content: str | bytes, kind: str, bounds: Bounds = BOUNDS
) -> DocumentUnusable:
    with pytest.raises(DocumentUnusable) as refusal:
        await read(folder, content, kind, bounds)
    return refusal.value


def codes(found: Extracted) -> list[str]:
    return [str(notice["code"]) for notice in found.notices]


async def test_markdown_becomes_a_page_a_section_under_its_headings(tmp_path: Path) -> None:
    found = await read(
        tmp_path,
        f"---\ntitle: The rules\n---\n# House\n\nAn *intro*.\n\n{LONG} {LONG}\n\n## Parking\n\n1. one\n2. two\n\n"
        "| Name | Fee |\n|---|---|\n| Pass | 40 |\n",
        "md",
    )
    assert found.title == "The rules"
    assert [(page.number, page.label) for page in found.pages] == [
        (1, "House"),
        (2, "House > Parking"),
    ]
    assert found.pages[0].text == f"House\n\nAn intro.\n\n{LONG} {LONG}"
    assert found.pages[1].text == ("Parking\n1. one\n2. two\n\nName | Fee\nName: Pass; Fee: 40")


async def test_small_sections_share_a_page_and_no_heading_stands_alone(tmp_path: Path) -> None:
    small = "".join(f"<h2>Part {number}</h2><p>Words.</p>" for number in (1, 2, 3))
    long = f"<p>{LONG}</p>" * 3 + f"<h3>Last</h3><p>{LONG}</p>"
    found = await read(tmp_path, f"<h1>House</h1>{small}<h2>Part 4</h2>{long}", "html")
    assert [page.label for page in found.pages] == [
        "House > Part 1 - Part 4",
        "House > Part 4 > Last",
    ]
    assert found.pages[1].text.startswith("Last\n\nword")


async def test_of_html_is_read_what_a_browser_shows(tmp_path: Path) -> None:
    found = await read(
        tmp_path,
        "<title>A &amp; B</title><style>p{}</style><nav>Menu</nav><h1>Top</h1><p>Hello <b>wor</b>ld,<br>"
        "again.<div hidden>secret</div><p style='display: none'>no</p><ul><li>one<li><p>two</ul>"
        "<img src=a><img alt='A chart'><script>x()</script><select><option>3</select>end",
        "html",
    )
    assert found.title == "A & B"
    assert found.pages[0].text == "Top\n\nHello world,\nagain.\n- one\n- two\n\nA chart end"
    assert codes(found) == ["pictures", "navigation"]


async def test_rows_of_a_table_read_alone_whatever_cells_span(tmp_path: Path) -> None:
    table = (
        "<table><caption>Fees</caption><thead><tr><th>City<th>Size<th>Fee</thead>"
        "<tr><td rowspan=2>Ulm<td>small<td>4<tr><td>large<td>9<tr><td colspan=2>Bonn<td>5</table>"
    )
    lines = (await text_of(tmp_path, table, "html")).split("\n")
    assert lines[0] == "Fees"
    assert lines[3:] == [
        "City: Ulm; Size: small; Fee: 4",
        "City: Ulm; Size: large; Fee: 9",
        "City: Bonn; Fee: 5",
    ]


async def test_a_table_that_only_lays_out_is_read_as_text(tmp_path: Path) -> None:
    text = await text_of(
        tmp_path, "<table><tr><td><h1>News</h1><td><table><tr><td>a<td>b</table></table>", "html"
    )
    assert text == "News\n\na | b"
    letter = "<table><tr><td>" + "<p>Dear all.</p>" * 5 + "<td>Side</table>"
    assert (await text_of(tmp_path, letter, "html")).endswith("Dear all.\n\nDear all.\nSide")


async def test_csv_becomes_a_line_a_row_under_the_names_of_its_columns(tmp_path: Path) -> None:
    found = await read(tmp_path, "Name;Age;City\nAnna;30;Ulm\n\nZoe;;Bonn;x\n", "csv")
    assert found.pages[0].text.split("\n") == [
        "Name | Age | City",
        "Name: Anna; Age: 30; City: Ulm",
        "Name: Zoe; City: Bonn; x",
    ]
    assert codes(found) == ["uneven_rows"]
    assert await text_of(tmp_path, "1,2\n3,4\n", "csv") == "1 | 2\n3 | 4"


async def test_text_is_cut_at_its_paragraphs_or_has_the_pages_that_it_says(tmp_path: Path) -> None:
    paragraphs = [f"Paragraph {number}. " + "word " * 300 for number in range(6)]
    found = await read(tmp_path, "\r\n\r\n".join(paragraphs), "txt")
    assert len(found.pages) == 3
    assert all(page.text.startswith("Paragraph") for page in found.pages)
    assert await text_of(tmp_path, "one\f\ftwo\f", "txt") == "one\f\ftwo"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("F\u00fcr K\u00f6ln", "utf-8"),
        ("F\u00fcr K\u00f6ln", "utf-8-sig"),
        ("F\u00fcr K\u00f6ln", "utf-16"),
        ("F\u00fcr K\u00f6ln und Ulm", "utf-16-le"),
        ("F\u00fcr K\u00f6ln", "cp1252"),
        (
            "\u041f\u0440\u0438\u0432\u0435\u0442, \u043a\u0430\u043a \u0434\u0435\u043b\u0430?",
            "cp1251",
        ),
        ("Za\u017c\u00f3\u0142\u0107 g\u0119\u015bl\u0105 ja\u017a\u0144", "cp1250"),
    ],
)
async def test_text_comes_in_many_encodings(tmp_path: Path, text: str, encoding: str) -> None:
    found = await read(tmp_path, text.encode(encoding), "txt")
    assert found.pages[0].text == text
    assert codes(found) == (["encoding_guessed"] if encoding.startswith("cp") else [])


async def test_html_says_its_encoding(tmp_path: Path) -> None:
    page = "<meta http-equiv=Content-Type content='text/html; charset=koi8-r'><p>\u041f\u0440\u0438\u0432\u0435\u0442"
    assert (
        await text_of(tmp_path, page.encode("koi8-r"), "html")
        == "\u041f\u0440\u0438\u0432\u0435\u0442"
    )


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        pytest.param(b"<div>" * 200_000 + b"deep", "html", id="endless nesting"),
        pytest.param(b"<table><tr><td>" * 50_000 + b"deep", "html", id="endless tables"),
        pytest.param(b"> " * 50_000 + b"deep", "md", id="endless quotes"),
        pytest.param(b"[" * 50_000 + b"deep", "md", id="endless brackets"),
        pytest.param(b"a," * 1_000_000 + b"deep\n" + b"1,2\n", "csv", id="a million columns"),
        pytest.param(b"\0" * 50_000 + b"deep", "txt", id="zeros"),
        pytest.param(b"deep " + b"\xff\xfe" * 50_000, "txt", id="no text"),
        pytest.param(b"<td colspan=9999999 rowspan=9999999>deep" * 3000, "html", id="spans"),
        pytest.param(b'"deep' + b"x" * 2_000_000, "csv", id="a quote never closed"),
    ],
)
async def test_hostile_files_are_read_or_refused(tmp_path: Path, content: bytes, kind: str) -> None:
    reason = ""
    try:
        found = await read(tmp_path, content, kind)
        assert any("deep" in page.text for page in found.pages)
    except DocumentUnusable as error:
        reason = error.reason
    assert reason in {"", "too_much_text", "broken", "no_text"}


async def test_bounds_hold(tmp_path: Path) -> None:
    words = "word " * 40_000
    few = replace(BOUNDS, pages=3)
    assert (await refused(tmp_path, words, "txt")).reason == "too_much_text"
    assert (await refused(tmp_path, words[:90_000], "txt", few)).reason == "too_many_pages"
    assert (await refused(tmp_path, " \n\n ", "md")).reason == "no_text"
    assert (await refused(tmp_path, "<p hidden>x", "html")).reason == "no_text"


async def test_what_takes_too_long_is_called_what_it_is(tmp_path: Path) -> None:
    error = await refused(tmp_path, "words", "csv", replace(BOUNDS, seconds=0.01))
    assert error.detail == "Reading CSV like this takes too long. Split it into parts."
