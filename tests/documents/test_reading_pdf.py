"""What is read of a PDF, in which order, and what is said of the rest."""

from contextlib import suppress
from pathlib import Path
from random import Random

import pypdf
import pytest
from fpdf import FPDF

from api.documents.extract import Bounds, extract, open_server
from api.documents.reading.hyphens import join_broken_words
from api.documents.reading.lines import Line, turned
from api.documents.reading.pdf import read
from api.documents.reading.plausible import is_disguised, looks_written
from api.documents.reading.values import Text, Unusable
from api.errors import DocumentUnusable
from tests.documents.pdfs import drawn, pdf, picture, placed

BEES = [
    "Keeping bees in town",
    "needs a calm strain. The",
    "association lends a",
    "smoker to members.",
]
HONEY = [
    "Honey from chestnut",
    "trees is dark. It is",
    "sold in jars of 250",
    "grams in the autumn.",
]
WAX = ["Wax is melted in", "a pot with water, and", "poured through cloth", "before it hardens."]

UNNAMED_FONT = b"""<</Type/Font/Subtype/Type3/FontBBox[0 0 10 10]/FontMatrix[.1 0 0 .1 0 0]/FirstChar 0/LastChar 255
/Widths[%s]/CharProcs<<%s>>/Encoding<</Differences[0 %s]>>/Resources<<>>>>""" % (
    b"10 " * 256,
    b" ".join(b"/g%d 11 0 R" % code for code in range(256)),
    b" ".join(b"/g%d" % code for code in range(256)),
)
GLYPH = b"<</Length 28>>stream\n10 0 0 0 8 8 d1 0 0 8 8 re f\nendstream"


TABLE = (
    b"<</Type/Filespec/F(tides.csv)/UF(tides.csv)/EF<</F 12 0 R>>>>",
    b"<</Type/EmbeddedFile/Length 8>>stream\nhigh,low\nendstream",
)


def read_bytes(folder: Path, content: bytes) -> Text:
    file = folder / "any.pdf"
    file.write_bytes(content)
    return read(str(file), 1_000, 1_000_000)


def side_by_side(*columns: list[str], top: float = 700) -> list[tuple[float, float, str]]:
    """Columns, drawn line by line over all of them."""
    return [
        (50 + 170 * column, top - 14 * row, text)
        for row, texts in enumerate(zip(*columns, strict=True))
        for column, text in enumerate(texts)
    ]


@pytest.mark.parametrize("columns", [(BEES, HONEY), (BEES, HONEY, WAX)], ids=len)
def test_columns_drawn_from_side_to_side_are_read_one_after_the_other(
    tmp_path: Path, columns: tuple[list[str], ...]
) -> None:
    heading = (50.0, 740.0, "What the association of bee keepers in our town tells its members")
    content = drawn(placed(heading, *side_by_side(*columns)))
    lines = read_bytes(tmp_path, content).pages[0].text.split("\n")
    assert lines == [heading[2], *(line for column in columns for line in column)]


def test_rows_of_a_table_stay_rows(tmp_path: Path) -> None:
    rows = [
        ("Parking", "40 euros"),
        ("Lunch", "7 euros"),
        ("Locker", "2 euros"),
        ("Gym", "20 euros"),
    ]
    cells = [
        (x, 700.0 - 14 * at, text)
        for at, row in enumerate(rows)
        for x, text in zip((50.0, 220.0), row, strict=True)
    ]
    text = read_bytes(tmp_path, drawn(placed(*cells))).pages[0].text
    assert text.split("\n") == [" ".join(row) for row in rows]


def test_what_is_drawn_late_but_stands_above_is_read_before(tmp_path: Path) -> None:
    content = drawn(
        placed((50, 600, "second paragraph"), (50, 580, "goes on"), (50, 700, "The heading"))
    )
    assert read_bytes(tmp_path, content).pages[0].text == "The heading\nsecond paragraph\ngoes on"


def test_sideways_text_stands_behind_and_does_not_cut_sentences(tmp_path: Path) -> None:
    stream = placed((50, 700, "A sentence that goes"))
    stream += "BT /F 10 Tf 0 1 -1 0 30 300 Tm (stamp of the archive) Tj ET\n"
    stream += placed((50, 686, "on in the next line."))
    text = read_bytes(tmp_path, drawn(stream)).pages[0].text
    assert text == "A sentence that goes\non in the next line.\nstamp of the archive"


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_boxes_are_those_of_the_page_as_it_is_shown(tmp_path: Path, rotation: int) -> None:
    content = drawn(
        placed((50, 700, "Some words"), (50, 100, "at the end")), page=f"/Rotate {rotation}"
    )
    page = read_bytes(tmp_path, content).pages[0]
    assert page.layout is not None
    assert page.layout.size == ((600, 800) if rotation % 180 == 0 else (800, 600))
    (start, end, *box), _ = page.layout.lines
    assert page.text[start:end] == "Some words"
    upright = turned((box[0], box[1], box[2], box[3]), page.layout.size, -rotation // 90)
    assert upright[0] == pytest.approx(50, abs=1)
    assert upright[1] < 100 < upright[3]


def test_headers_footers_and_page_numbers_are_left_out_where_they_repeat(tmp_path: Path) -> None:
    pages = [
        placed(
            (50, 770, "Handbook of the harbour"),
            (50, 700, f"Invoice {number * number} of the harbour office"),
            (50, 686, "costs 37 euros."),
            (280, 30, f"Page {number} of 5"),
        )
        for number in range(1, 6)
    ]
    found = read_bytes(tmp_path, drawn(*pages))
    assert (
        found.pages[0].text
        == "Handbook of the harbour\nInvoice 1 of the harbour office\ncosts 37 euros."
    )
    assert found.pages[4].text == "Invoice 25 of the harbour office\ncosts 37 euros."
    assert [notice.code for notice in found.notices] == ["running_lines"]
    assert "Handbook of the harbour" in found.notices[0].detail


def test_numbers_that_do_not_count_pages_stay(tmp_path: Path) -> None:
    pages = [placed((50, 770, f"Invoice {n * n + 7}"), (50, 600, "Paid.")) for n in range(1, 6)]
    found = read_bytes(tmp_path, drawn(*pages))
    assert [page.text for page in found.pages] == [
        f"Invoice {n * n + 7}\nPaid." for n in range(1, 6)
    ]
    assert not found.notices


def test_the_value_of_a_form_is_read_where_it_is_seen(tmp_path: Path) -> None:
    value = b"BT /F 10 Tf 2 4 Td (Reading 7731 on 2 May) Tj ET"
    field = b"<</Type/Annot/Subtype/Widget/FT/Tx/T(r)/V(7731)/F 4/Rect[200 600 400 620]/AP<</N 11 0 R>>>>"
    form = (
        b"<</Type/XObject/Subtype/Form/BBox[0 0 200 20]/Resources<</Font<</F 3 0 R>>>>/Length %d>>"
        b"stream\n%s\nendstream"
    )
    content = drawn(
        placed((50, 604, "Meter:")),
        page="/Annots[10 0 R]",
        objects=[field, form % (len(value), value)],
    )
    assert "Reading 7731 on 2 May" in read_bytes(tmp_path, content).pages[0].text


def test_notes_are_read_and_attached_files_are_named(tmp_path: Path) -> None:
    note = (
        b"<</Type/Annot/Subtype/Text/Rect[20 20 40 40]/T(Ada)/Contents(Ask the harbour master.)>>"
    )
    pinned = (
        b"<</Type/Annot/Subtype/FileAttachment/FS<</Type/Filespec/F(map.png)>>/Rect[9 9 20 20]>>"
    )
    objects = [note, *TABLE, pinned]
    content = drawn(placed((50, 700, "Fees")), page="/Annots[10 0 R 13 0 R]", objects=objects)
    attached = b"/Catalog/Names<</EmbeddedFiles<</Names[(a) 11 0 R]>>>>"
    found = read_bytes(tmp_path, content.replace(b"/Catalog", attached))
    assert found.pages[0].text == "Fees\n\nNote (Ada): Ask the harbour master."
    told = {notice.code: notice for notice in found.notices}
    assert told["notes"].pages == [1]
    assert "tides.csv, map.png" in told["attachments"].detail


def test_pages_that_are_pictures_are_named_and_empty_ones_are_not(tmp_path: Path) -> None:
    writer = pypdf.PdfWriter()
    for number, content in enumerate((pdf("Cover of the lease", ""), picture())):
        part = tmp_path / f"{number}.pdf"
        part.write_bytes(content)
        writer.append(part)
    writer.write(tmp_path / "lease.pdf")
    found = read(str(tmp_path / "lease.pdf"), 10, 1_000)
    assert [(notice.code, notice.pages) for notice in found.notices] == [("page_without_text", [3])]
    assert found.unreadable == []


def test_a_font_without_letters_is_no_text(tmp_path: Path) -> None:
    unreadable = placed((50, 700, "\\004\\005\\006 \\007\\010"), font="U", size=10)
    objects = [UNNAMED_FONT, GLYPH]
    alone = drawn(unreadable, fonts="/U 10 0 R", objects=objects)
    with pytest.raises(Unusable) as refusal:
        read_bytes(tmp_path, alone)
    assert refusal.value.args[0] == "no_text"
    assert "OCR" in refusal.value.args[1]
    readable = placed((50, 700, "The fee is 37 euros."))
    found = read_bytes(tmp_path, drawn(readable, unreadable, fonts="/U 10 0 R", objects=objects))
    assert (len(found.pages), found.unreadable) == (1, [2])
    assert [(notice.code, notice.pages) for notice in found.notices] == [("unreadable_font", [2])]


def test_numbers_of_glyphs_that_look_like_text_are_no_text() -> None:
    text = (
        "The fee for a visiting boat is 37 euros a night, and the office opens at 8 in the morning."
    )
    disguised = "".join(chr(ord(one) - 29) if one != " " else " " for one in text)
    assert is_disguised(disguised)
    assert not is_disguised(text)
    assert not is_disguised("PX-7731 QT-12 RB-5 " * 8)
    assert looks_written(text)
    assert not looks_written(disguised)


def test_pages_are_named_by_the_outline(tmp_path: Path) -> None:
    document = FPDF()
    document.set_font("helvetica", size=12)
    for number, titles in enumerate((["Fees"], ["Mooring"], [], ["Rules"], []), start=1):
        document.add_page()
        for title in titles:
            document.start_section(title, level=1 if title == "Mooring" else 0)
        document.cell(text=f"Page {number}")
    document.set_y(200)
    document.start_section("Late")
    found = read_bytes(tmp_path, bytes(document.output()))
    assert [page.label for page in found.pages] == [
        "Fees",
        "Fees > Mooring",
        "Fees > Mooring",
        "Rules",
        "Rules",
    ]


def test_a_form_that_only_one_program_shows_is_refused(tmp_path: Path) -> None:
    waits = "If this message is not eventually replaced with the proper contents of the document,"
    with pytest.raises(Unusable) as refusal:
        read_bytes(tmp_path, drawn(placed((50, 700, "Please wait..."), (50, 680, waits), size=8)))
    assert refusal.value.args[0] == "xfa_form"


def joined(*texts: str) -> str:
    lines = [Line(text) for text in texts]
    join_broken_words([lines])
    return "".join(line.text + line.after for line in lines).strip()


def test_words_broken_at_a_line_end_are_joined_as_the_document_writes_them() -> None:
    soft = joined("An in\ufffe", "network doctor and an exam\x02", "ple. In-network doctors.")
    assert soft == "An in-network doctor and an example. In-network doctors."
    named = joined("with a brand\ufffe", "name and a name of a brand.")
    assert named == "with a brand-name and a name of a brand."


def test_a_plain_hyphen_is_joined_where_a_word_goes_on() -> None:
    assert joined("the associa-", "tion lends") == "the association lends"
    assert joined("for the self-", "employed") == "for the self-employed"
    assert joined("the years 2019-", "2023 and A-", "B") == "the years 2019-\n2023 and A-\nB"


def test_rows_of_numbers_by_year_say_which_number_is_of_which_year(tmp_path: Path) -> None:
    file = tmp_path / "report.pdf"
    file.write_bytes(
        drawn(
            placed(
                *((300, 700, "2023"), (400, 700, "2022")),
                *(
                    (50, 686, "Net sales"),
                    (290, 686, "$ 14,694"),
                    (397, 686, "14,544"),
                ),
                *((50, 672, "Net loss, adjusted"), (305, 672, "(12)"), (410, 672, "7 %")),
                *((50, 658, "Boats"), (200, 658, "harbour"), (300, 658, "19")),
            )
        )
    )
    rows = read(str(file), 1, 1_000, heads_in_rows=True).pages[0].text.split("\n")
    assert rows == [
        "2023 2022",
        "Net sales; 2023: $ 14,694; 2022: 14,544",
        "Net loss, adjusted; 2023: (12); 2022: 7 %",
        "Boats harbour 19",
    ]


@pytest.mark.soak
@pytest.mark.timeout(900)  # 150 processes
@pytest.mark.anyio
async def test_mutated_files_end_in_text_or_in_a_reason(tmp_path: Path) -> None:
    bounds = Bounds(pages=50, characters=100_000, seconds=60, memory_bytes=512 * 2**20)
    rows = placed(*side_by_side(BEES, HONEY, WAX))
    sources = [
        drawn(rows, rows, fonts="/U 10 0 R", objects=[UNNAMED_FONT, GLYPH], page="/Rotate 90"),
        pdf("Cover of the lease", "More words.", title="Lease"),
        picture(),
    ]
    random = Random(7)
    file = tmp_path / "any"
    server = open_server()
    for _ in range(150):
        content = bytearray(random.choice(sources))
        for _ in range(random.randint(1, 30)):
            content[random.randrange(len(content))] = random.randrange(256)
        file.write_bytes(content[: random.choice((len(content), random.randrange(len(content))))])
        with suppress(DocumentUnusable):
            found = await extract(server, file, bounds)
            assert found.pages
    await server.close()
