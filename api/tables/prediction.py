"""What a prediction is: rows that a model is asked, one by one, and the column that the answers stand in."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Literal

from api.data_folder.shelf import now, read_card
from api.tables.shelf import Column

Status = Literal["queued", "running", "cancelling", "cancelled", "failed", "succeeded"]
OVER: frozenset[Status] = frozenset({"cancelled", "failed", "succeeded"})
"""What nothing follows unless somebody resumes it."""
RESUMABLE: frozenset[Status] = frozenset({"cancelled", "failed"})


@dataclass(frozen=True, slots=True)
class Source:
    """Whose rows: a table as it was when it was asked for, by name and id, or a table of a database."""

    table: str
    table_id: str | None = None
    columns: tuple[Column, ...] = ()
    database: str | None = None
    """Whose table of that name is filled in its place."""
    selected_from: str | None = None
    """The database whose rows, those of a SELECT, come to the table of that name."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """`prediction.json`. Times are ISO 8601 in UTC; `times` holds when it last came to each status."""

    id: str
    status: Status
    key: str
    """Id of the key that asked for it, with which its rows are asked."""
    created_at: str
    source: Source
    input: str
    into: str
    wanted: Mapping[str, Any]
    """Model, options, system, documents, collection and response_schema, as `asked.request_for` takes them."""
    result: str
    """The table that the rows come to with the column; of a database the name of its own."""
    limit: int | None = None
    total: int | None = None
    """How many rows are asked; None until they are counted."""
    completed: int = 0
    failed: int = 0
    times: Mapping[str, str] | None = None
    reason: str | None = None
    notice: str | None = None

    def card(self) -> dict[str, Any]:
        """As it is written."""
        return asdict(self)

    def at(self, status: Status, **changes: Any) -> "Prediction":
        """As it is from now on."""
        times = {**(self.times or {}), f"{status}_at": now()}
        return replace(self, status=status, times=times, **changes)

    @property
    def is_over(self) -> bool:
        """Whether nobody brings it on."""
        return self.status in OVER


def from_card(id: str, card: Mapping[str, Any]) -> Prediction:
    """What `card` wrote; `errors.NotFound` where that was damaged by hand."""

    def read() -> Prediction:
        columns = tuple(Column(**one) for one in card["source"]["columns"])
        source = Source(**{**card["source"], "columns": columns})
        datetime.fromisoformat(card["created_at"])
        return Prediction(**{**card, "id": id, "source": source})

    return read_card("prediction", id, read)
