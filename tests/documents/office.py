"""Small Office files and books, written part by part, as the programs that make them do."""

import io
import zipfile
from collections.abc import Mapping, Sequence

import openpyxl

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
OTHERS = (
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" '
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
    'xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing" '
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
    'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
)
RELATIONS = 'xmlns="http://schemas.openxmlformats.org/package/2006/relationships"'
TYPE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
MAIN_TYPES = {
    "word/document.xml": "wordprocessingml.document",
    "ppt/presentation.xml": "presentationml.presentation",
}


def packed(parts: Mapping[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP file of parts, in their order."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return target.getvalue()


def relations(**targets: str) -> str:
    """The links of a part: of which type each is, and to what."""
    links = "".join(
        f'<Relationship Id="{kind}" Type="{TYPE}{kind.rstrip("0123456789")}" Target="{target}"/>'
        for kind, target in targets.items()
    )
    return f"<Relationships {RELATIONS}>{links}</Relationships>"


def _office(main: str, parts: Mapping[str, str | bytes]) -> bytes:
    kind = f"application/vnd.openxmlformats-officedocument.{MAIN_TYPES[main]}.main+xml"
    types = f'<Types><Override PartName="/{main}" ContentType="{kind}"/></Types>'
    return packed(
        {"[Content_Types].xml": types, "_rels/.rels": relations(officeDocument=main), **parts}
    )


def paragraph(text: str = "", style: str = "", inside: str = "", properties: str = "") -> str:
    """One paragraph of Word."""
    named = f'<w:pStyle w:val="{style}"/>' if style else ""
    run = f'<w:r><w:t xml:space="preserve">{text}</w:t></w:r>' if text else ""
    return f"<w:p><w:pPr>{named}{properties}</w:pPr>{run}{inside}</w:p>"


def table(*rows: Sequence[str]) -> str:
    """A table of Word; cells are text."""
    cells = ("".join(f"<w:tc>{paragraph(cell)}</w:tc>" for cell in row) for row in rows)
    return f"<w:tbl>{''.join(f'<w:tr>{row}</w:tr>' for row in cells)}</w:tbl>"


def docx(body: str, **parts: str) -> bytes:
    """A Word document; `parts` are the insides of others by the names of their files."""
    styles = "".join(
        f'<w:style w:styleId="H{level}"><w:name w:val="heading {level}"/></w:style>'
        for level in (1, 2, 3)
    )
    inner = {"styles": styles, **parts}
    files = {
        f"word/{name}.xml": f"<w:{name} {W} {OTHERS}>{xml}</w:{name}>"
        for name, xml in inner.items()
    }
    return _office(
        "word/document.xml",
        {
            "word/document.xml": f"<w:document {W} {OTHERS}><w:body>{body}</w:body></w:document>",
            "word/_rels/document.xml.rels": relations(**{name: f"{name}.xml" for name in inner}),
            **files,
        },
    )


def shape(*lines: str, placeholder: str = "body") -> str:
    """A shape of a slide with lines of text."""
    text = "".join(f"<a:p><a:r><a:t>{line}</a:t></a:r></a:p>" for line in lines)
    role = f'<p:nvSpPr><p:nvPr><p:ph type="{placeholder}"/></p:nvPr></p:nvSpPr>'
    return f"<p:sp>{role}<p:txBody>{text}</p:txBody></p:sp>"


def pptx(*slides: str, notes: Mapping[int, str] | None = None) -> bytes:
    """A presentation; each slide is the inside of its element, with its attributes before a `>`."""
    parts: dict[str, str | bytes] = {
        "ppt/presentation.xml": f"<p:presentation {OTHERS}><p:sldIdLst>"
        + "".join(f'<p:sldId r:id="slide{at}"/>' for at in range(1, len(slides) + 1))
        + "</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": relations(
            **{f"slide{at}": f"slides/slide{at}.xml" for at in range(1, len(slides) + 1)}
        ),
    }
    for at, slide in enumerate(slides, start=1):
        said, _, inside = slide.rpartition("|")
        parts[f"ppt/slides/slide{at}.xml"] = (
            f"<p:sld {OTHERS} {said}><p:cSld><p:spTree>{inside}</p:spTree></p:cSld></p:sld>"
        )
    for at, text in (notes or {}).items():
        parts[f"ppt/slides/_rels/slide{at}.xml.rels"] = relations(notesSlide=f"../n{at}.xml")
        parts[f"ppt/n{at}.xml"] = (
            f"<p:notes {OTHERS}><p:spTree>{shape('7', placeholder='sldNum')}{shape(text)}</p:spTree></p:notes>"
        )
    return _office("ppt/presentation.xml", parts)


def xlsx(**sheets: Sequence[Sequence[object]]) -> bytes:
    """A workbook; a sheet whose name begins with `hidden` is."""
    book = openpyxl.Workbook()
    del book["Sheet"]
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        sheet.sheet_state = "hidden" if name.startswith("hidden") else "visible"
        for row in rows:
            sheet.append(list(row))
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def epub(*chapters: str, title: str = "A book", **more: str) -> bytes:
    """A book; each chapter is the inside of its body, `more` are parts below `META-INF`."""
    items = "".join(
        f'<item id="c{at}" href="c%20{at}.xhtml" media-type="application/xhtml+xml"/>'
        for at in range(len(chapters))
    )
    spine = "".join(f'<itemref idref="c{at}"/>' for at in range(len(chapters)))
    return packed(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
            '<rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>',
            "OPS/book.opf": '<package xmlns="http://www.idpf.org/2007/opf"><metadata '
            f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title></metadata>'
            f"<manifest>{items}</manifest><spine>{spine}</spine></package>",
            **{
                f"OPS/c {at}.xhtml": '<?xml version="1.0"?><!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml">'
                f"<head><title/></head><body>{chapter}</body></html>"
                for at, chapter in enumerate(chapters)
            },
            **{f"META-INF/{name}.xml": xml for name, xml in more.items()},
        }
    )


def parts_of(content: bytes) -> dict[str, bytes]:
    """The parts of a ZIP file."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
