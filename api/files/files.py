"""What can be done with files: take one in, list them, look at one, have its bytes, delete one.

A file to fine-tune on is a dataset: it is read to its end when it comes, and stands in both lists under one id.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import anyio.to_thread

from api.data_folder.copying import pieces_of, write_hashed
from api.data_folder.shelf import KEPT_UNTIL, Shelf, now, read_card, readable
from api.datasets.datasets import FIELD, Dataset, Datasets
from api.datasets.receiving import Upload
from api.errors import NotFound, Unusable
from finetune.data.mapping import Wish

Sent = Literal["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]
"""What a file can be sent for."""
Made = Literal["batch_output", "fine-tune-results"]
"""What the service makes files for itself."""
Purpose = Sent | Made
Order = Literal["asc", "desc"]
CONTENT = "content"
MAX_NAME_CHARACTERS = 255
"""As file systems have them."""


@dataclass(frozen=True, slots=True)
class File:
    """One file; its bytes lie at `path`, named for nothing."""

    id: str
    name: str
    purpose: str
    size_bytes: int
    sha256: str
    created_at: datetime
    expires_at: datetime | None


class Files:
    """The files of a workspace. Every method that takes an id raises `errors.NotFound`."""

    def __init__(self, shelf: Shelf, datasets: Datasets) -> None:
        self._shelf = shelf
        self._datasets = datasets

    async def receive(
        self,
        upload: Upload,
        purpose: Sent,
        *,
        base: str | None = None,
        expires_after_seconds: int | None = None,
    ) -> File:
        """Keep a file that somebody sends; `base` reads the rows of one to fine-tune on, else the default one.

        `errors.Unusable` for an empty one or too long a name; to fine-tune on also `errors.DatasetUnusable` with row
        and reason, and `errors.UnsupportedMediaType` for what is no table.
        """
        if len(upload.name or "") > MAX_NAME_CHARACTERS:
            what = f"The name of a file may have {MAX_NAME_CHARACTERS} characters."
            raise Unusable(what, where=FIELD)
        expires_at = _end(expires_after_seconds)
        if purpose == "fine-tune":
            added = await self._datasets.add(upload, None, base, Wish(), expires_at=expires_at)
            return _of_dataset(added)
        name, pieces = upload.name or "", pieces_of(upload.file)
        return await self._keep(purpose, name, pieces, expires_at, may_be_empty=False)

    async def write(
        self,
        purpose: Made,
        name: str,
        pieces: Iterable[bytes],
        *,
        id: str | None = None,
        expires_after_seconds: int | None = None,
    ) -> File:
        """Keep what the service makes itself; `pieces` are taken in a thread, and may be an open file.

        `id` is one of `new_id`, for who wants to know it before.
        """
        return await self._keep(purpose, name, pieces, _end(expires_after_seconds), id=id)

    def new_id(self) -> str:
        """An id that nothing has."""
        return self._shelf.new_id()

    async def _keep(
        self,
        purpose: Purpose,
        name: str,
        pieces: Iterable[bytes],
        expires_at: datetime | None,
        *,
        id: str | None = None,
        may_be_empty: bool = True,
    ) -> File:
        id = id or self._shelf.new_id()

        def kept() -> File:
            with self._shelf.growing(id) as folder:
                with (folder / CONTENT).open("wb") as content:  # `place` makes it last
                    sha256, size_bytes = write_hashed(pieces, content)
                if not size_bytes and not may_be_empty:
                    raise Unusable("The file is empty.", where=FIELD)
                card: dict[str, Any] = {
                    "version": 1,
                    "name": name or id,
                    "purpose": purpose,
                    "size_bytes": size_bytes,
                    "sha256": sha256,
                    "created_at": now(),
                }
                if expires_at:
                    card[KEPT_UNTIL] = expires_at.isoformat()
                self._shelf.place(folder, id, card)
            return _of_card(id, card)

        return await anyio.to_thread.run_sync(kept)

    async def page(
        self,
        after: str | None = None,
        limit: int = 10_000,
        *,
        order: Order = "desc",
        purposes: Collection[str] | None = None,
    ) -> tuple[list[File], bool]:
        """At most `limit` of those of some purposes, behind the file `after`, and whether there are more; newest first
        unless ascending.
        """

        def all() -> list[File]:
            sets = {one.id: one for one in self._datasets.all()}
            found = readable(self._shelf.all(), _of_card)
            found += readable(sets, lambda _, dataset: _of_dataset(dataset))
            return sorted(found, key=lambda one: one.created_at, reverse=True)

        found = await anyio.to_thread.run_sync(all)
        if order == "asc":
            found.reverse()
        begin = 0
        if after is not None:
            ids = [one.id for one in found]
            if after not in ids:
                raise NotFound(f"No file {after!r}.")
            begin = ids.index(after) + 1
        wanted = [one for one in found[begin:] if purposes is None or one.purpose in purposes]
        return wanted[:limit], len(wanted) > limit

    async def get(self, id: str) -> File:
        """One file."""
        return await anyio.to_thread.run_sync(self.find, id)

    def find(self, id: str) -> File:
        """The same as `get`, in a thread."""
        if self._is_dataset(id):
            return _of_dataset(self._datasets.find(id))
        return _of_card(id, self._shelf.card(id))

    def path(self, id: str) -> Path:
        """Where its bytes lie, which never change; blocking."""
        if self._is_dataset(id):
            return self._datasets.source(id)
        path = self._shelf.find(id) / CONTENT
        if not path.is_file():
            raise NotFound(f"The bytes of file {id!r} are gone.")
        return path

    async def delete(self, id: str) -> File:
        """Delete one; who made something of it has made it already."""
        file = await self.get(id)
        if self._is_dataset(id):
            await self._datasets.delete(id)
        else:
            await anyio.to_thread.run_sync(self._shelf.remove, id)
        return file

    async def expire(self, now: datetime) -> None:
        """Remove what was to be kept until then, in all workspaces."""
        await anyio.to_thread.run_sync(self._shelf.of(None).expire, now)
        await self._datasets.expire(now)

    def unreadable(self) -> list[str]:
        """The ids of files, of all workspaces, whose cards cannot be read; blocking."""
        return self._shelf.unreadable(_of_card)

    def _is_dataset(self, id: str) -> bool:
        """What is no id of either is looked for among the files."""
        return self._datasets.has(id)


def _end(after_seconds: int | None) -> datetime | None:
    if after_seconds is None:
        return None
    return datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=after_seconds)


def _of_card(id: str, card: Mapping[str, Any], what: str = "file") -> File:
    def read() -> File:
        return File(
            id=id,
            name=str(card.get("file_name") or card["name"]),
            purpose=str(card["purpose"]),
            size_bytes=int(card["size_bytes"]),
            sha256=str(card["sha256"]),
            created_at=_time(card["created_at"]),
            expires_at=_end_of(card),
        )

    return read_card(what, id, read)


def _of_dataset(dataset: Dataset) -> File:
    """A dataset as the file that it came as."""
    card = {**dataset.card, "purpose": "fine-tune"}
    return _of_card(dataset.id, card, "dataset")


def _end_of(card: Mapping[str, Any]) -> datetime | None:
    return _time(card[KEPT_UNTIL]) if card.get(KEPT_UNTIL) else None


def _time(text: str) -> datetime:
    """Without a zone it is UTC."""
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
