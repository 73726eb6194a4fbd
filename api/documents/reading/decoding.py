"""Bytes of a text file to text: as it says itself, as Unicode, or in the likeliest of the older encodings."""

import codecs
import re
from pathlib import Path

from api.documents.reading.values import Notice, Unusable

BYTES_A_CHARACTER = 4
SAMPLE_BYTES = 2**18
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
OLDER = [
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257"),
    *("koi8_r", "shift_jis", "euc_jp", "gb18030", "big5", "euc_kr", "mac_roman", "cp437"),
]
"""Encodings that text files of today still have; a guess among all would be a worse one."""
WESTERN = (
    *(
        "\u00e4\u00f6\u00fc\u00df\u00e9\u00e0",
        "\u00e5\u00e4\u00f6\u00e6\u00f8\u00e9\u00fc",
        "\u00e0\u00e8\u00e9\u00ec\u00ed\u00f2\u00f3\u00f9\u00fa",
    ),
    "\u00e0\u00e2\u00e6\u00e7\u00e9\u00e8\u00ea\u00eb\u00ee\u00ef\u00f4\u00f9\u00fb\u00fc\u00ff\u0153",
    "\u00e1\u00e9\u00ed\u00f3\u00fa\u00fc\u00f1\u00e7\u00e3\u00f5\u00e2\u00ea\u00f4\u00e0\u00ef",
)
"""The letters beyond ASCII of German, the Nordic languages, Italian, French, and Spanish with Portuguese."""
_DECLARED = re.compile(
    rb"""<(?:meta|\?xml)[^>]{0,200}?(?:charset|encoding)\s*=\s*["']?([\w-]+)""", re.I
)


def read_bytes(file: str, most_characters: int) -> bytes:
    """The whole file; `Unusable` when no text of that many characters can have so many bytes."""
    path = Path(file)
    if path.stat().st_size > most_characters * BYTES_A_CHARACTER:
        raise Unusable(
            "too_much_text",
            f"The file holds more than {most_characters:,} characters. Split it into parts.",
        )
    return path.read_bytes()


def decode(raw: bytes, declared: str = "") -> tuple[str, list[Notice]]:
    """The text, and a notice where its encoding had to be guessed."""
    for mark, encoding in MARKS.items():
        if raw.startswith(mark):
            return raw.decode(encoding, "replace"), []
    if text := _as_unicode(raw, declared):
        return text, []
    encoding = _likely(raw)
    detail = f"The text says no encoding and is not UTF-8; it was read as {encoding}."
    return raw.decode(encoding, "replace"), [Notice("encoding_guessed", detail)]


def declared_encoding(raw: bytes) -> str:
    """What an HTML or XML file says of itself, empty when nothing."""
    found = _DECLARED.search(raw[:4096])
    return found[1].decode("ascii") if found else ""


def _as_unicode(raw: bytes, declared: str) -> str:
    """As it is said, as UTF-8, or as UTF-16 by its zeros; empty when it is neither."""
    high, low = raw[:400:2].count(0), raw[1:400:2].count(0)
    wide = "utf-16-le" if low > high else "utf-16-be"
    is_wide = max(high, low) * 4 > len(raw[:400]) and min(high, low) * 4 < max(high, low)
    for encoding in (wide if is_wide else "", "utf-8", declared):
        try:
            if encoding:
                return raw.decode(encoding)
        except (LookupError, UnicodeError):
            continue
    return ""


def _likely(raw: bytes) -> str:
    """The Western one where its letters are those of one language; the detector is not sure of short texts."""
    from charset_normalizer import from_bytes

    text = raw[:SAMPLE_BYTES].decode("cp1252", "replace").lower()
    letters = {one for one in text if one.isalpha() and not one.isascii()}
    if "\ufffd" not in text and any(letters <= set(language) for language in WESTERN):
        return "cp1252"
    best = from_bytes(raw[:SAMPLE_BYTES], cp_isolation=OLDER).best()
    return best.encoding if best else "cp1252"
