"""What we know about models beside the runtime, which is the truth about which exist."""

from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import RowMapping, delete, insert, select, update

from api.names import WORKSPACE, in_workspace, model_key, runtime_name
from api.store.database import Database
from api.store.tables import models, seen_by, within

ModelKind = Literal["persona", "fine-tune"]


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """The origin of a model that was made here; a base model has no record.

    `base` is the name it was built on, `job_id` the job that trained it, `root` the base model below all: it stands
    when what lies between is deleted or becomes another model. `lineage` is what a fine-tune learned from, and stays
    when its job goes; `warning` what was said against it when it was published all the same; `collection` the id of
    that from which it answers below `/v1`; `shared` whether every workspace may use it.
    """

    name: str
    kind: ModelKind
    base: str
    job_id: str
    created_at: str
    root: str
    lineage: dict[str, Any] = field(default_factory=dict)
    warning: str = ""
    collection: str = ""
    shared: bool = False


class Models:
    """Queries over the model records of a workspace, which are told by its own names.

    A row has the runtime's names. Without a workspace those are spoken, and the records of each are seen.
    """

    def __init__(self, database: Database, workspace: str | None = None) -> None:
        self._database = database
        self._workspace = workspace or WORKSPACE
        self._mine = within(models, workspace)
        self._is_seen = seen_by(models, workspace)

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
        named = runtime_name(self._workspace, record.name)
        base, root = self._below(record.base), self._below(record.root)
        values = asdict(replace(record, name=named, base=base, root=root))
        key, workspace = model_key(named), in_workspace(named)[0]
        with self._database.write() as connection:
            connection.execute(delete(models).where(models.c.key == key))
            connection.execute(insert(models).values(key=key, workspace=workspace, **values))

    def all(self) -> dict[str, ModelRecord]:
        """Every record by its key."""
        with self._database.read() as connection:
            rows = connection.execute(select(models).where(self._mine)).mappings()
            return {model_key(one.name): one for one in map(self._record, rows)}

    def get(self, name: str) -> ModelRecord | None:
        """The record of one model."""
        with self._database.read() as connection:
            query = select(models).where(models.c.key == self._key(name), self._mine)
            row = connection.execute(query).mappings().first()
            return self._record(row) if row else None

    def seen(self, *names: str) -> dict[str, ModelRecord]:
        """Its own records by their keys, and those of models that are shared with it, its own before one of the same
        name; of these names only, if any. Of a shared one it is told what all have below it, and not what it learned
        from and by which job.
        """
        keys = [model_key(name) for name in names]
        query = select(models).where(self._is_seen)
        if keys:
            query = query.where(models.c.key.in_([*keys, *map(self._key, names)]))
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
        own_last = sorted(rows, key=lambda row: bool(row["workspace"] == self._workspace))
        return {model_key(one.name): one for one in map(self._told, own_last)}

    def share(self, name: str, shared: bool) -> None:
        """Let every workspace use a model, or no other one any more."""
        mine = (models.c.key == self._key(name), self._mine)
        with self._database.write() as connection:
            connection.execute(update(models).where(*mine).values(shared=shared))

    def made_by(self, job_id: str) -> ModelRecord | None:
        """The record of the model that a job has made."""
        with self._database.read() as connection:
            query = select(models).where(models.c.job_id == job_id, self._mine)
            row = connection.execute(query).mappings().first() if job_id else None
            return self._record(row) if row else None

    def root_of(self, name: str) -> str:
        """The base model below a model, which is that one where it is a base itself."""
        record = self.seen(name).get(model_key(name))
        return record.root if record else name

    def remove(self, name: str) -> None:
        """Forget a model."""
        with self._database.freeing() as connection:
            connection.execute(delete(models).where(models.c.key == self._key(name), self._mine))

    def _key(self, name: str) -> str:
        return model_key(runtime_name(self._workspace, name))

    def _below(self, name: str) -> str:
        """What a model was made of, by the runtime's name: the workspace's own one so named, else what all share."""
        return runtime_name(self._workspace, name) if self.get(name) else name

    def _told(self, row: RowMapping) -> ModelRecord:
        record = self._record(row)
        if row["workspace"] == self._workspace:
            return record
        return replace(record, base=record.root, job_id="", lineage={})

    def _record(self, row: RowMapping) -> ModelRecord:
        values = {name: row[name] for name in ModelRecord.__slots__}
        if self._workspace != WORKSPACE:
            names = {name: in_workspace(row[name])[1] for name in ("name", "base", "root")}
            values |= names
        return ModelRecord(**values)
