"""What can be done with datasets: add one, list them, look at one, delete one, and learn from one."""

import itertools
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio.to_thread

from api.data_folder.shelf import KEPT_UNTIL, Shelf
from api.datasets.receiving import Upload, Wanted, read_rows_of, receive
from api.errors import NotFound
from api.models.bases import BaseModels
from api.runners.linting import lint
from finetune.data.folds import path_of
from finetune.data.mapping import Wish
from finetune.data.rows import FOLDS, Fold, read_rows
from finetune.job.files import link_or_copy
from finetune.lint.report import Report

SOURCE = "source"
SHOWN_ROWS = 3
SHOWN_CHARACTERS = 10_000
FIELD = "file"


@dataclass(frozen=True, slots=True)
class Dataset:
    """One dataset, as its card describes it."""

    id: str
    card: Mapping[str, Any]

    @property
    def sha256(self) -> str:
        """Of the file as it was sent."""
        return str(self.card["sha256"])


class Datasets:
    """The datasets of a workspace."""

    def __init__(
        self, shelf: Shelf, base_models: BaseModels, *, default_base: str, most_rows: int
    ) -> None:
        """`default_base` reads the rows where no base is named."""
        self._shelf = shelf
        self._base_models = base_models
        self._default_base = default_base
        self._most_rows = most_rows

    async def add(
        self,
        upload: Upload,
        name: str | None,
        base: str | None,
        wish: Wish,
        *,
        expires_at: datetime | None = None,
    ) -> Dataset:
        """Take a file in, read it to its end, and have the linter look at it as the base reads it."""
        wanted = base or self._default_base
        reader = await anyio.to_thread.run_sync(self._base_models.find, wanted)
        id = self._shelf.new_id()
        with self._shelf.growing(id) as folder:
            card = await anyio.to_thread.run_sync(self._filled, folder, upload, wish)
            files = {fold: path for fold in FOLDS if (path := path_of(folder, fold)).is_file()}
            report = await lint(files, base=reader.folder)
            card |= {"name": name or upload.name or id, "base_model": reader.name}
            first_rows = await anyio.to_thread.run_sync(_first_rows, files["train"])
            card |= {"report": report.model_dump(), "first_rows": first_rows}
            if expires_at:
                card[KEPT_UNTIL] = expires_at.isoformat()
            await anyio.to_thread.run_sync(self._shelf.place, folder, id, card)
        return Dataset(id, card)

    def _filled(self, folder: Path, upload: Upload, wish: Wish) -> dict[str, Any]:
        """The file and its rows by fold; what its card says of them."""
        received = receive(upload, folder, SOURCE, FIELD)
        targets = {fold: path_of(folder, fold) for fold in FOLDS}
        wanted = Wanted(wish, self._most_rows)
        reading, written = read_rows_of(received.path, wanted, targets, FIELD)
        return {
            "version": 1,
            "file_name": upload.name,
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "sha256": received.sha256,
            "size_bytes": received.size_bytes,
            **reading.describe(),
            "mapping": {key: value for key, value in asdict(wish).items() if value},
            "rows": written.counts,
            "occur_once": written.once,
            "cut_cells": reading.cut,
        }

    async def page(self, after: str | None, limit: int) -> tuple[list[Dataset], bool]:
        """At most `limit` datasets, newest first, behind `after`; and whether there are more."""
        page, has_more = await anyio.to_thread.run_sync(self._shelf.page, after, limit)
        return [Dataset(id, card) for id, card in page.items()], has_more

    async def get(self, id: str) -> Dataset:
        """One dataset; `errors.NotFound`."""
        return await anyio.to_thread.run_sync(self.find, id)

    async def delete(self, id: str) -> Dataset:
        """Delete one; a job that learns from it has its own copy."""
        dataset = await self.get(id)
        await anyio.to_thread.run_sync(self._shelf.remove, id)
        return dataset

    def find(self, id: str) -> Dataset:
        """The same as `get`, in a thread."""
        return Dataset(id, self._shelf.card(id))

    async def expire(self, now: datetime) -> None:
        """Remove what was to be kept until then, in all workspaces."""
        await anyio.to_thread.run_sync(self._shelf.of(None).expire, now)

    def has(self, id: str) -> bool:
        """Whether an id is that of a dataset that is there; blocking."""
        try:
            self._shelf.find(id)
        except NotFound:
            return False
        return True

    def all(self) -> list[Dataset]:
        """Each one, the newest first; blocking."""
        return [Dataset(id, card) for id, card in self._shelf.all().items()]

    def source(self, id: str) -> Path:
        """The file as it was sent; `errors.NotFound`, blocking."""
        for path in self._shelf.find(id).glob(f"{SOURCE}.*"):
            return path
        raise NotFound(f"The file of dataset {id!r} is gone.")

    def link_rows(self, id: str, targets: Mapping[Fold, Path]) -> None:
        """Give a job its rows, by fold, without a second copy of them."""
        folder = self._shelf.find(id)
        for fold, target in targets.items():
            if path_of(folder, fold).is_file():
                _link(path_of(folder, fold), target)

    def join_rows(self, id: str, target: Path) -> None:
        """Give a job all rows as one file."""
        folder = self._shelf.find(id)
        paths = [path for fold in FOLDS if (path := path_of(folder, fold)).is_file()]
        if len(paths) == 1:
            return _link(paths[0], target)
        with target.open("wb") as file:
            for path in paths:
                with path.open("rb") as source:
                    shutil.copyfileobj(source, file)


def _link(source: Path, target: Path) -> None:
    try:
        link_or_copy(source, target)
    except FileNotFoundError:
        raise NotFound(f"Dataset {source.parent.name!r} is being deleted.") from None


def _first_rows(path: Path) -> list[dict[str, Any]]:
    """What was understood of the first rows; long ones without their ends."""
    rows = itertools.islice(read_rows(path), SHOWN_ROWS)
    shown = []
    for row in rows:
        content = {name: value for name, value in asdict(row).items() if value is not None}
        if len(json.dumps(content)) > SHOWN_CHARACTERS:
            content = {"number": row.number, "begins": json.dumps(content)[:SHOWN_CHARACTERS]}
        shown.append(content)
    return shown


def report_of(dataset: Dataset) -> Report:
    """What the linter said."""
    return Report.model_validate(dataset.card["report"])
