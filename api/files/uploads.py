"""Files that come in parts: begun, added to, put together into a file, or called off.

An upload and its parts are kept for an hour. What becomes of it is a file like any other.
"""

import asyncio
import contextlib
import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Literal

from anyio.to_thread import run_sync

from api.data_folder.copying import pieces_of
from api.data_folder.leftovers import INCOMING
from api.data_folder.shelf import KEPT_UNTIL, Shelf
from api.datasets.receiving import Upload as Whole
from api.errors import InvalidOption, NotFound, Unusable, WrongState
from api.files.files import File, Files, Sent
from finetune.job.files import sync_folder

MOST_PART_BYTES = 64 * 2**20
MOST_PARTS = 10_000
KEPT_SECONDS = 3600
TIMES_SENT = 2
"""As many times the bytes of the file may all parts have: clients send one again when its answer is lost."""
PART = re.compile(r"part_[0-9a-f]{16}")

Status = Literal["pending", "completed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on its way, and in the end the file."""

    id: str
    name: str
    purpose: Sent
    size_bytes: int
    status: Status
    created_at: datetime
    expires_at: datetime
    file: File | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """Some of its bytes."""

    id: str
    created_at: datetime


class Uploads:
    """The uploads of a workspace. Every method that takes an id raises `errors.NotFound`, from its end on too."""

    def __init__(self, shelf: Shelf, files: Files, most_bytes: int) -> None:
        """`most_bytes` is the bound of a whole file."""
        self._shelf = shelf
        self._files = files
        self._most_bytes = most_bytes
        self._changing = asyncio.Lock()
        self._joining: set[str] = set()

    async def begin(
        self, name: str, purpose: Sent, size_bytes: int, *, expires_after_seconds: int | None = None
    ) -> Upload:
        """Say what is to come; `expires_after_seconds` is that of the file."""
        if size_bytes > self._most_bytes:
            raise InvalidOption(
                f"A file may have {self._most_bytes} bytes (LLM_FASTAPI_MAX_UPLOAD_BYTES).",
                where="bytes",
                limit_bytes=self._most_bytes,
            )
        id, now = self._shelf.new_id(), datetime.now(UTC).replace(microsecond=0)
        card: dict[str, Any] = {
            "version": 1,
            "name": name,
            "purpose": purpose,
            "size_bytes": size_bytes,
            "status": "pending",
            "created_at": now.isoformat(),
            KEPT_UNTIL: (now + timedelta(seconds=KEPT_SECONDS)).isoformat(),
            "expires_after_seconds": expires_after_seconds,
        }

        def placed() -> None:
            with self._shelf.growing(id) as folder:
                self._shelf.place(folder, id, card)

        await run_sync(placed)
        return _upload(id, card)

    async def get(self, id: str) -> Upload:
        """One upload as it stands, without its file."""
        return _upload(id, await run_sync(self._shelf.card, id))

    async def add(self, id: str, file: BinaryIO) -> Part:
        """One more part; parts may come side by side, and one twice.

        `errors.Unusable` for an empty one, and for more than belongs to the file; `errors.WrongState` when all is over.
        """
        self._require_pending(await self.get(id))
        folder = await run_sync(self._shelf.find, id)
        came = folder / f"{INCOMING}{secrets.token_hex(8)}"
        try:
            await run_sync(self._copy, file, came)
            async with self._changing:
                upload = self._require_pending(await self.get(id))
                return await run_sync(_placed, came, upload.size_bytes)
        finally:
            came.unlink(missing_ok=True)

    async def complete(self, id: str, part_ids: Sequence[str], md5: str | None = None) -> Upload:
        """The file of these parts in this order; asked again the same, the same answer.

        `errors.InvalidOption` for parts that are not there or have not the bytes that were said, and for another MD5
        sum; the refusals of `Files.receive`.
        """
        async with self._changing:
            card = await run_sync(self._shelf.card, id)
            if card["status"] == "completed" and card["part_ids"] == list(part_ids):
                return _upload(id, card, await self._files.get(card["file_id"]))
            upload = self._require_pending(_upload(id, card))
            self._joining.add(id)
        try:
            whole = await run_sync(self._joined, upload, part_ids, md5)
            try:
                file = await self._files.receive(
                    Whole(whole, upload.name),
                    upload.purpose,
                    expires_after_seconds=card["expires_after_seconds"],
                )
            finally:
                await run_sync(whole.close)  # which gives its room back: seconds for a large one
            card |= {"status": "completed", "file_id": file.id, "part_ids": list(part_ids)}
            with contextlib.suppress(NotFound):  # its hour is over just now
                await run_sync(self._end, id, card)
        finally:
            self._joining.discard(id)
        return _upload(id, card, file)

    async def cancel(self, id: str) -> Upload:
        """Call it off; asked again, the same answer. `errors.WrongState` when it is a file."""
        async with self._changing:
            card = await run_sync(self._shelf.card, id)
            if card["status"] != "cancelled":
                self._require_pending(_upload(id, card))
                card |= {"status": "cancelled"}
                await run_sync(self._end, id, card)
        return _upload(id, card)

    async def expire(self, now: datetime) -> None:
        """Remove what was to be kept until then, in all workspaces."""
        await run_sync(self._shelf.of(None).expire, now)

    def _require_pending(self, upload: Upload) -> Upload:
        status = "being completed" if upload.id in self._joining else upload.status
        if status != "pending":
            raise WrongState(f"Upload {upload.id} is {status}: nothing can be done with it.")
        return upload

    @contextlib.contextmanager
    def _writing(self, id: str) -> Iterator[None]:
        try:
            with self._shelf.writing():
                yield
        except FileNotFoundError:
            raise NotFound(f"Upload {id!r} is over.") from None

    def _copy(self, file: BinaryIO, target: Path) -> None:
        with self._writing(target.parent.name), target.open("xb") as copy:
            for piece in pieces_of(file):
                copy.write(piece)
            copy.flush()
            os.fsync(copy.fileno())

    def _joined(self, upload: Upload, part_ids: Sequence[str], md5: str | None) -> BinaryIO:
        """The bytes of the parts as one nameless file."""
        folder = self._shelf.find(upload.id)
        with self._writing(upload.id):
            paths = _named(folder, part_ids, upload.size_bytes)
            return _whole(paths, folder, md5)

    def _end(self, id: str, card: Mapping[str, Any]) -> None:
        self._shelf.update(id, card)
        for path in _parts(self._shelf.find(id)):
            path.unlink(missing_ok=True)


def _upload(id: str, card: Mapping[str, Any], file: File | None = None) -> Upload:
    return Upload(
        id=id,
        name=card["name"],
        purpose=card["purpose"],
        size_bytes=card["size_bytes"],
        status=card["status"],
        created_at=datetime.fromisoformat(card["created_at"]),
        expires_at=datetime.fromisoformat(card[KEPT_UNTIL]),
        file=file,
    )


def _parts(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if PART.fullmatch(path.name)]


def _placed(came: Path, size_bytes: int) -> Part:
    """A part that has come gets its name, where it has room."""
    parts, size = _parts(came.parent), came.stat().st_size
    if not size:
        raise Unusable("The part is empty.", where="data")
    if len(parts) >= MOST_PARTS:
        raise Unusable(f"An upload may have {MOST_PARTS} parts: send larger ones.", where="data")
    if sum(path.stat().st_size for path in parts) + size > TIMES_SENT * size_bytes:
        raise Unusable(
            f"The upload is to have {size_bytes} bytes, and far more have come. Begin another one.",
            where="data",
        )
    path = came.rename(came.with_name(f"part_{secrets.token_hex(8)}"))
    sync_folder(path.parent)
    return Part(path.name, datetime.fromtimestamp(path.stat().st_mtime, UTC))


def _named(folder: Path, part_ids: Sequence[str], size_bytes: int) -> list[Path]:
    """The parts of these ids, which are the whole file."""
    parts = {path.name: path for path in _parts(folder)}
    if unknown := next((id for id in part_ids if id not in parts), None):
        raise InvalidOption(f"No part {unknown!r} of this upload.", where="part_ids")
    if len(set(part_ids)) < len(part_ids):
        raise InvalidOption("A part is named twice.", where="part_ids")
    size = sum(parts[id].stat().st_size for id in part_ids)
    if size != size_bytes:
        raise InvalidOption(
            f"The parts have {size} bytes together, and the upload was begun for {size_bytes}.",
            where="part_ids",
        )
    return [parts[id] for id in part_ids]


def _whole(paths: Sequence[Path], folder: Path, md5: str | None) -> BinaryIO:
    """One file of several, which goes when it is closed."""
    digest = hashlib.md5(usedforsecurity=False)
    whole = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  whoever is given it closes it
    try:
        for path in paths:
            with path.open("rb") as part:
                for piece in pieces_of(part):
                    digest.update(piece)
                    whole.write(piece)
        if md5 is not None and md5.strip().lower() != digest.hexdigest():
            raise InvalidOption(f"The parts have the MD5 sum {digest.hexdigest()}.", where="md5")
    except BaseException:
        whole.close()
        raise
    return whole
