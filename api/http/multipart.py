"""A multipart body as text values and files: strictly decoded, its file names as their senders meant them."""

import email.errors
import email.header
import re
from collections.abc import AsyncGenerator
from urllib.parse import unquote_to_bytes

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from api.errors import BadRequest, OutOfSpace, TooLarge

MAX_FILES = 16
MAX_FIELDS = 1000
EXTENDED = re.compile(rb";\s*filename\*\s*=\s*([\w-]+)'[^']*'([^;\s]+)", re.IGNORECASE)
"""The form of RFC 5987, which .NET sends beside the plain one: `filename*=utf-8''%C3%9Cber.pdf`."""
ENCODED_WORD = re.compile(r"(=\?[\w-]+\?[bq]\?[^?\s]*\?=\s*)+", re.IGNORECASE)
"""The form of mail headers (RFC 2047), which .NET puts into the plain one."""


async def read_multipart(
    request: Request,
    chunks: AsyncGenerator[bytes, None],
    max_text_bytes: int,
    max_files: int = MAX_FILES,
) -> list[tuple[str, str | UploadFile]]:
    """The parts by name, in order. The caller closes the files.

    `errors.TooLarge` when the parts that are no files have more than `max_text_bytes` together.
    """
    parser = _StrictMultiPartParser(
        request.headers,
        chunks,
        max_files=max_files,
        max_fields=MAX_FIELDS,
        max_part_size=max_text_bytes,
    )
    try:
        with OutOfSpace.with_detail("The disk is full: the upload was not stored."):
            form = await parser.parse()
        if not parser.is_whole:
            await form.close()
            raise BadRequest("The multipart body ends before its last boundary.")
    except MultiPartException as error:
        raise BadRequest(f"The multipart body cannot be read: {error.message}") from error
    return form.multi_items()


class _StrictMultiPartParser(MultiPartParser):
    """Refuses what is not UTF-8 and what has no end; Starlette would take both in silence."""

    is_whole = False
    _text_bytes = 0

    def on_end(self) -> None:
        self.is_whole = True

    def on_headers_finished(self) -> None:
        self._charset = "utf-8"  # whatever the Content-Type says
        part = self._current_part
        _, options = parse_options_header(part.content_disposition)
        for key in (b"name", b"filename"):
            _require_utf8(options.get(key, b""), key.decode())
        extended = EXTENDED.search(part.content_disposition or b"")
        if extended and b"filename" not in options:
            part.content_disposition = (part.content_disposition or b"") + b'; filename="file"'
        super().on_headers_finished()
        if part.file is not None:
            part.file.filename = _file_name(extended, part.file.filename or "")

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._current_part.file is None:  # kept in memory, unlike a file
            self._text_bytes += end - start
            if self._text_bytes > self.max_part_size:
                reason = f"The text fields may have {self.max_part_size} bytes together."
                raise TooLarge(reason, limit_bytes=self.max_part_size)
        super().on_part_data(data, start, end)

    def on_part_end(self) -> None:
        if self._current_part.file is None:
            _require_utf8(bytes(self._current_part.data), self._current_part.field_name)
        super().on_part_end()


def _file_name(extended: re.Match[bytes] | None, plain: str) -> str:
    """As the extended form says, else the plain one, decoded where it is written as in a mail.

    Some charsets (`utf-7`) can name half a surrogate pair, which no answer could tell of.
    """
    name = plain
    try:
        if extended:
            charset, escaped = extended.groups()
            name = unquote_to_bytes(escaped).decode(charset.decode())
        elif ENCODED_WORD.fullmatch(plain):
            name = str(email.header.make_header(email.header.decode_header(plain)))
        name.encode()
    except (LookupError, ValueError, email.errors.HeaderParseError):
        raise _not_utf8("filename") from None
    return name


def _require_utf8(content: bytes, where: str) -> None:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        raise _not_utf8(where) from None


def _not_utf8(where: str) -> RequestValidationError:
    return RequestValidationError(
        [{"type": "invalid", "loc": (where,), "msg": "The text is not UTF-8."}]
    )
