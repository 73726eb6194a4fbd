"""DOCX, PPTX, XLSX and EPUB: what is read of them, what is said to be left out, and how hostile ones end."""

import struct
import zipfile
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from tests.documents.office import (
    docx,
    epub,
    packed,
    paragraph,
    parts_of,
    pptx,
    relations,
    shape,
    table,
    xlsx,
)
from tests.documents.test_text_formats import BOUNDS, LONG, codes, read, refused, text_of

pytestmark = pytest.mark.anyio

BREAK = "<w:r><w:lastRenderedPageBreak/></w:r>"


def listed(number: int, level: int = 0) -> str:
    """The properties of a paragraph in a list."""
    return f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>'


async def test_a_word_document_keeps_headings_lists_and_tables(tmp_path: Path) -> None:
    numbering = (
        '<w:abstractNum w:abstractNumId="5"><w:lvl w:ilvl="0"><w:numFmt w:val="decimal"/><w:lvlText w:val="%1."/>'
        '</w:lvl><w:lvl w:ilvl="1"><w:numFmt w:val="lowerRoman"/><w:lvlText w:val="%1.%2)"/></w:lvl></w:abstractNum>'
        '<w:num w:numId="1"><w:abstractNumId w:val="5"/></w:num>'
    )
    body = (
        paragraph("House", "H1", properties=listed(1))
        + paragraph(f"An intro. {LONG} {LONG}")
        + paragraph("Parking", "H2", properties=listed(1, 1))
        + table(["Name", "Fee"], ["Pass", "40"])
        + paragraph(f"{LONG} {LONG}")
        + paragraph("Lunch", "H1", properties=listed(1))
        + paragraph("At noon.")
    )
    found = await read(tmp_path, docx(body, numbering=numbering), "docx")
    assert found.title == "1. House"
    assert [(page.label, page.text) for page in found.pages] == [
        ("1. House", f"1. House\n\nAn intro. {LONG} {LONG}"),
        (
            "1. House > 1.i) Parking",
            f"1.i) Parking\n\nName | Fee\nName: Pass; Fee: 40\n\n{LONG} {LONG}",
        ),
        ("2. Lunch", "2. Lunch\n\nAt noon."),
    ]


async def test_a_word_document_has_the_pages_that_word_has_last_shown(tmp_path: Path) -> None:
    body = (
        paragraph("One", inside=f"{BREAK}<w:r><w:t> goes on.</w:t></w:r>")
        + paragraph("Two.")
        + paragraph(inside=f"{BREAK}{BREAK}<w:r><w:t>Four.</w:t></w:r>")
    )
    found = await read(tmp_path, docx(body), "docx")
    assert [page.text for page in found.pages] == ["One goes on.", "Two.", "", "Four."]


async def test_what_stands_beside_the_text_of_word_is_read_or_named(tmp_path: Path) -> None:
    body = (
        paragraph(
            "Kept",
            inside="<w:ins><w:r><w:t> and added</w:t></w:r></w:ins>"
            "<w:del><w:r><w:delText> gone</w:delText></w:r></w:del>"
            '<w:r><w:rPr><w:vanish/></w:rPr><w:t>secret</w:t></w:r><w:r><w:footnoteReference w:id="2"/></w:r>'
            '<w:r><w:drawing><wp:docPr id="1" descr=""/></w:drawing></w:r>',
        )
        + "<w:p><w:r><mc:AlternateContent><mc:Choice><w:txbxContent>"
        + paragraph("In a box.")
        + "</w:txbxContent></mc:Choice><mc:Fallback><w:txbxContent>"
        + paragraph("In a box.")
        + "</w:txbxContent></mc:Fallback></mc:AlternateContent></w:r></w:p>"
        + f"<w:sdt><w:sdtContent>{paragraph('In a control.')}</w:sdtContent></w:sdt>"
    )
    found = await read(
        tmp_path,
        docx(
            body,
            footnotes=f'<w:footnote w:id="2">{paragraph("A note.")}</w:footnote>',
            comments='<w:comment w:id="0"/>',
            header1=paragraph("Confidential"),
        ),
        "docx",
    )
    assert found.pages[0].text.split("\n\n") == [
        "Kept and added",
        "Note 1: A note.",
        "In a box.",
        "In a control.",
    ]
    assert codes(found) == ["pictures", "tracked_changes", "comments", "headers"]


async def test_a_presentation_is_a_page_a_slide(tmp_path: Path) -> None:
    first = (
        shape("7", placeholder="sldNum")
        + shape("a point", "another")
        + shape("Plan", placeholder="title")
    )
    found = await read(
        tmp_path,
        pptx(
            first,
            f'show="0"|{shape("secret")}',
            "",
            shape("Last", placeholder="ctrTitle"),
            notes={1: "Say it."},
        ),
        "pptx",
    )
    assert found.title == "Plan"
    assert [(page.number, page.label, page.text) for page in found.pages] == [
        (1, "Plan", "Plan\n\na point\nanother\n\nSpeaker notes: Say it."),
        (3, "", ""),
        (4, "Last", "Last"),
    ]
    assert [dict(one) for one in found.notices] == [
        {"code": "hidden", "detail": "Hidden slides were left out.", "pages": [2]}
    ]


async def test_a_row_of_a_sheet_reads_alone(tmp_path: Path) -> None:
    many = [[f"Item {number}", number * 1.5] for number in range(400)]
    found = await read(
        tmp_path,
        xlsx(
            Prices=[["Prices of 2025"], [], ["Item", "Price"], *many],
            hidden_one=[["secret"]],
            Staff=[["Name", "Since", "Sum"], ["Anna", date(2025, 3, 1), "=1+1"]],
        ),
        "xlsx",
    )
    first, second = found.pages[:2]
    assert first.label == "Prices"
    assert first.text.startswith("Prices of 2025\nItem | Price\nItem: Item 0; Price: 0\n")
    row = int(second.label.removeprefix("Prices, from row "))
    assert second.text.startswith(f"Item: Item {row - 4}; Price: {(row - 4) * 1.5:g}\n")
    assert found.pages[-1].label == "Staff"
    assert found.pages[-1].text == "Name | Since | Sum\nName: Anna; Since: 2025-03-01"
    assert [(one["code"], one["detail"].rpartition(": ")[2]) for one in found.notices] == [
        ("hidden", "hidden_one."),
        ("formulas", "Staff (1)."),
    ]


async def test_a_book_is_read_in_the_order_of_its_chapters(tmp_path: Path) -> None:
    found = await read(
        tmp_path, epub("<h1>One</h1><p>It&nbsp;was &amp; is.</p>", "<p>No heading.</p>"), "epub"
    )
    assert found.title == "A book"
    assert [(page.label, page.text) for page in found.pages] == [
        ("One", "One\n\nIt\u00a0was & is."),
        ("", "No heading."),
    ]


def lying(content: bytes, name: str) -> bytes:
    """The same ZIP file, where the list of parts says that one unfolds to very little."""
    at = content.rindex(name.encode()) - 46
    return content[: at + 24] + struct.pack("<I", 10) + content[at + 28 :]


LAUGHS = (
    '<!DOCTYPE w [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    "<w:document xmlns:w='w'>&b;</w:document>"
)
OUTSIDE = (
    '<!DOCTYPE w [<!ENTITY a SYSTEM "file:///etc/passwd">]><w:document xmlns:w="w">&a;</w:document>'
)
DEEP = "<w:sdt>" * 5000


def with_main(main: str | bytes) -> bytes:
    """A Word document whose main part is anything."""
    return packed(
        {"_rels/.rels": relations(officeDocument="word/document.xml"), "word/document.xml": main}
    )


def repacked(content: bytes) -> bytes:
    """The same, packed by a method that unfolds whole blocks at once."""
    return packed(parts_of(content), zipfile.ZIP_LZMA)


@pytest.mark.parametrize(
    ("content", "kind", "reason"),
    [
        pytest.param(with_main(LAUGHS), "docx", "broken", id="billion laughs"),
        pytest.param(with_main(OUTSIDE), "docx", "broken", id="entity from outside"),
        pytest.param(docx(DEEP), "docx", "broken", id="no end"),
        pytest.param(docx(DEEP + "</w:sdt>" * 5000), "docx", "broken", id="endless nesting"),
        pytest.param(with_main(b" " * 200_000_000), "docx", "too_much_text", id="zip bomb"),
        pytest.param(
            lying(docx(paragraph("x" * 1000)), "word/document.xml"),
            "docx",
            "broken",
            id="lying size",
        ),
        pytest.param(repacked(docx(paragraph("words"))), "docx", "broken", id="LZMA"),
        pytest.param(packed({"a": "b"}), "docx", "broken", id="nothing in it"),
        pytest.param(packed({"a": "b"}), "xlsx", "broken", id="no workbook"),
        pytest.param(docx(paragraph("words"))[:-400], "docx", "broken", id="cut off"),
        pytest.param(docx(paragraph("words")), "pptx", "no_text", id="a Word document as slides"),
        pytest.param(
            docx(paragraph("words")), "xlsx", "broken", id="a Word document as a workbook"
        ),
        pytest.param(b"PK\x03\x04", "epub", "broken", id="four bytes"),
        pytest.param(
            epub(
                "<p>x</p>",
                encryption="<e xmlns='http://www.w3.org/2001/04/xmlenc#'>"
                "<EncryptionMethod Algorithm='aes'/></e>",
            ),
            "epub",
            "encrypted",
            id="DRM",
        ),
        pytest.param(pptx(""), "pptx", "no_text", id="an empty slide"),
        pytest.param(xlsx(Empty=[]), "xlsx", "no_text", id="an empty sheet"),
    ],
)
async def test_hostile_files_are_refused(
    tmp_path: Path, content: bytes, kind: str, reason: str
) -> None:
    assert (await refused(tmp_path, content, kind)).reason == reason


async def test_a_sheet_as_wide_and_long_as_can_be_is_read(tmp_path: Path) -> None:
    sheet = xlsx(Far=[["deep"]])
    far = packed(
        {
            name: part.replace(
                b"</sheetData>",
                b'<row r="1048576"><c r="XFD1048576" t="inlineStr"><is><t>far</t></is></c></row></sheetData>',
            ).replace(b'ref="A1"', b'ref="A1:XFD1048576"')
            for name, part in parts_of(sheet).items()
        }
    )
    assert await text_of(tmp_path, far, "xlsx") == "deep\nfar"


async def test_names_of_parts_lead_nowhere_else(tmp_path: Path) -> None:
    outside = tmp_path / "outside.xhtml"
    outside.write_text("<p>secret</p>")
    book = epub("<p>inside</p>")
    moved = packed(
        {
            name: part.replace(b"c%200.xhtml", b"../" * 20 + str(outside).encode())
            for name, part in parts_of(book).items()
        }
    )
    assert (await refused(tmp_path, moved, "epub")).reason == "no_text"


async def test_a_part_of_much_text_ends_only_its_own_process(tmp_path: Path) -> None:
    tight = replace(BOUNDS, memory_bytes=160 * 2**20)
    words = "".join(f"<w:p><w:r><w:t>{number}</w:t></w:r></w:p>" for number in range(600_000))
    assert (await refused(tmp_path, docx(words), "docx", tight)).reason == "too_much_memory"
    assert (await refused(tmp_path, docx(words), "docx")).reason == "too_much_text"
