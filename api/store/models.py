"""What we know about models beside the runtime, which is the truth about which exist."""

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import delete, insert, select

from api.names import model_key
from api.store.database import Database
from api.store.tables import models

ModelKind = Literal["persona", "fine-tune"]


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """The origin of a model that was made here; a base model has no record.

    `base` is the name it was built on, `job_id` the job that trained it, `root` the base model below all: it stands
    when what lies between is deleted or becomes another model. `lineage` is what a fine-tune learned from, and stays
    when its job goes; `warning` what was said against it when it was published all the same.
    """

    name: str
    kind: ModelKind
    base: str
    job_id: str
    created_at: str
    root: str
    lineage: dict[str, Any] = field(default_factory=dict)
    warning: str = ""


class Models:
    """Queries over model records."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(
        self,
        name: str,
        kind: ModelKind,
        base: str = "",
        job_id: str = "",
        *,
        lineage: dict[str, Any] | None = None,
        warning: str = "",
    ) -> ModelRecord:
        """Keep the record of a model that is made of `base` now, in place of an earlier one."""
        record = ModelRecord(
            name,
            kind,
            base,
            job_id,
            datetime.now(UTC).isoformat(timespec="seconds"),
            self.root_of(base),
            lineage or {},
            warning,
        )
        self.put_back(record)
        return record

    def put_back(self, record: ModelRecord) -> None:
        """Keep a record as it is, in place of a later one."""
        with self._database.write() as connection:
            connection.execute(delete(models).where(models.c.key == model_key(record.name)))
            connection.execute(insert(models).values(key=model_key(record.name), **asdict(record)))

    def all(self) -> dict[str, ModelRecord]:
        """Every record by its key."""
        with self._database.read() as connection:
            return {
                row["key"]: ModelRecord(**{name: row[name] for name in ModelRecord.__slots__})
                for row in connection.execute(select(models)).mappings()
            }

    def get(self, name: str) -> ModelRecord | None:
        """The record of one model."""
        return self.all().get(model_key(name))

    def root_of(self, name: str) -> str:
        """The base model below a model, which is that one where it is a base itself."""
        record = self.get(name)
        return record.root if record else name

    def remove(self, name: str) -> None:
        """Forget a model."""
        with self._database.freeing() as connection:
            connection.execute(delete(models).where(models.c.key == model_key(name)))
