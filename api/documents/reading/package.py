"""Documents that are ZIP files of XML: their parts, read one at a time and within bounds, and nothing from outside."""

import posixpath
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any

from lxml import etree

from api.documents.reading.values import Notice, Unusable
from api.zip_files import oddly_packed

MAX_PARTS = 20_000
MAX_CHARTS = 500
MAX_PART_BYTES = 128 * 2**20
MAX_RATIO = 200
FREE_BYTES = 32 * 2**20
"""What a file may unpack to whatever its own size; beyond it the ratio is bounded."""
NO_MEMORY = 2
"""The code of libxml2 for what its message does not say."""
_STRICT = {
    b"http://purl.oclc.org/ooxml/officeDocument/relationships": (
        b"http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    ),
    b"http://purl.oclc.org/ooxml/wordprocessingml/main": (
        b"http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    ),
    b"http://purl.oclc.org/ooxml/presentationml/main": (
        b"http://schemas.openxmlformats.org/presentationml/2006/main"
    ),
    b"http://purl.oclc.org/ooxml/drawingml/": b"http://schemas.openxmlformats.org/drawingml/2006/",
}
"""The names of the strict form of Office files, which says the same under other names."""


@dataclass(frozen=True)
class Link:
    """From one part to another: what it is there for, the last word of its type, and its name."""

    kind: str
    target: str


class Package:
    """One file. A part that is not there is None; `Unusable` for what is damaged or unfolds to too much."""

    def __init__(self, file: str) -> None:
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            raise broken() from error
        infos = self._zip.infolist()
        self.names = [info.filename for info in infos]
        packed = sum(info.compress_size for info in infos)
        unpacked = sum(info.file_size for info in infos)
        if len(infos) > MAX_PARTS or unpacked > FREE_BYTES + MAX_RATIO * packed:
            raise Unusable(
                "too_much_text",
                f"The file unfolds to {unpacked // 2**20:,} MiB in {len(infos):,} parts: "
                "no document is packed like that.",
            )
        if oddly_packed(infos):
            raise Unusable(
                "broken",
                "The parts of the file are packed by another method than Deflate. Save it anew.",
            )
        if any(info.flag_bits & 1 for info in infos):
            raise Unusable("encrypted", "The file is protected by a password. Save it without one.")

    def read(self, name: str) -> bytes | None:
        """The bytes of a part."""
        try:
            info = self._zip.getinfo(name)
            if info.file_size > MAX_PART_BYTES:
                raise Unusable(
                    "too_much_text",
                    f"The part {name} has {info.file_size // 2**20:,} MiB. Split the document.",
                )
            return self._zip.read(info)
        except KeyError:
            return None
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError) as error:
            raise broken() from error

    def xml(self, name: str) -> Any:
        """The tree of a part."""
        raw = self.read(name)
        if raw is None:
            return None
        for strict, usual in _STRICT.items():
            raw = raw.replace(strict, usual)
        return parsed(raw)

    def links(self, name: str) -> dict[str, Link]:
        """From a part to others of the package, by their ids."""
        folder, _, file = name.rpartition("/")
        tree = self.xml(f"{folder}/_rels/{file}.rels".lstrip("/"))
        found = {}
        for one in tree if tree is not None else ():
            if one.get("Id") and one.get("TargetMode") != "External":
                kind = str(one.get("Type")).rpartition("/")[2]
                found[str(one.get("Id"))] = Link(kind, resolved(name, str(one.get("Target"))))
        return found

    def main(self) -> str:
        """The name of the part that the document begins with."""
        for link in self.links("").values():
            if link.kind == "officeDocument":
                return link.target
        raise broken()

    def title(self) -> str:
        """What the properties of an Office file give as its title."""
        tree = self.xml("docProps/core.xml")
        found = tree.findtext("{http://purl.org/dc/elements/1.1/}title") if tree is not None else ""
        return " ".join((found or "").split())

    def count(self, beginning: str) -> int:
        """How many parts have names that begin so."""
        return sum(name.startswith(beginning) for name in self.names)

    def notices(self, folder: str) -> list[Notice]:
        """What an Office file holds in that folder that is never read."""
        found = []
        if any(name.endswith("vbaProject.bin") for name in self.names):
            found.append(Notice("macros", "The macros were left out, and not run."))
        charts = [name for name in self.names if name.startswith(f"{folder}/charts/chart")]
        drawn = {
            link.target for chart in charts[:MAX_CHARTS] for link in self.links(chart).values()
        }
        others = {name for name in self.names if name.startswith(f"{folder}/embeddings/")} - drawn
        if others:
            found.append(
                Notice("attachments", f"{len(others)} files inside the file were left out.")
            )
        return found


def parsed(raw: bytes, *, recover: bool = False) -> Any:
    """A tree without a definition of entities, as deep as documents are, with nothing fetched from anywhere."""
    if b"<!ENTITY" in raw:
        raise Unusable("broken", "The file defines entities, as no document of its kind does.")
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        remove_comments=True,
        remove_pis=True,
        recover=recover,
    )
    try:
        tree = etree.fromstring(raw, parser)
    except etree.XMLSyntaxError as error:
        if error.code == NO_MEMORY:
            raise MemoryError from error
        raise broken() from error
    if tree is None:
        raise broken()
    return tree


def resolved(name: str, target: str) -> str:
    """The name of a part that another refers to."""
    if target.startswith("/"):
        return target.lstrip("/")
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), target))


def broken() -> Unusable:
    """What nothing can be made of."""
    return Unusable("broken", "The file is damaged: its parts cannot be read.")
