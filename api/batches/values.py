"""What a batch is, what its rows are asked as, and what comes of them."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

from api.data_folder.shelf import now, read_card

Status = Literal[
    "validating",
    "failed",
    "in_progress",
    "finalizing",
    "completed",
    "expired",
    "cancelling",
    "cancelled",
]
Endpoint = Literal["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"]
"""What the rows of a batch may ask."""
OVER: frozenset[Status] = frozenset({"failed", "completed", "expired", "cancelled"})
"""What nothing follows."""
WINDOW: Literal["24h"] = "24h"
WINDOW_TIME = timedelta(hours=24)


class Row(NamedTuple):
    """A request of the input file: `body` is JSON."""

    custom_id: str
    body: bytes


class Answer(NamedTuple):
    """What a client would have got: `body` is JSON in one line."""

    status: int
    request_id: str
    body: bytes
    retry_after_seconds: float | None = None

    @property
    def is_refused(self) -> bool:
        """Whether it stands in the error file."""
        return self.status >= 400


Ask = Callable[[str, str, bytes], Awaitable[Answer]]
"""Sends one request: the id of the key that it is sent for, the path, the body."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a batch failed; of an input file the line, counted from 1."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows that were answered, and that were refused; 0 of 0 until the file is checked."""

    total: int = 0
    completed: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """`batch.json`. Times are ISO 8601 in UTC; `times` holds when it came to each status."""

    id: str
    status: Status
    endpoint: Endpoint
    input_file: str
    key: str
    """Id of the key that made it, with which its rows are asked."""
    created_at: str
    expires_at: str
    metadata: Mapping[str, str] | None = None
    files_kept_seconds: int | None = None
    """How long the files of its answers are kept; None: until they are deleted."""
    times: Mapping[str, str] | None = None
    counts: Counts = Counts()
    output_file: str | None = None
    error_file: str | None = None
    faults: tuple[Fault, ...] = ()

    def card(self) -> dict[str, Any]:
        """As it is written."""
        return asdict(self)

    def at(self, status: Status, **changes: Any) -> "Batch":
        """As it is from now on."""
        times = {**(self.times or {}), f"{status}_at": now()}
        return replace(self, status=status, times=times, **changes)

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes of it."""
        return self.status in OVER

    @property
    def seconds_left(self) -> float:
        """Until it expires."""
        return (datetime.fromisoformat(self.expires_at) - datetime.now(UTC)).total_seconds()


def from_card(id: str, card: Mapping[str, Any]) -> Batch:
    """What `card` wrote; `errors.NotFound` where that was damaged by hand."""

    def read() -> Batch:
        faults = tuple(Fault(**one) for one in card["faults"])
        batch = Batch(**{**card, "id": id, "faults": faults, "counts": Counts(**card["counts"])})
        for time in (batch.created_at, batch.expires_at, *(batch.times or {}).values()):
            datetime.fromisoformat(time)
        return batch

    return read_card("batch", id, read)


def fault_of(answer: Answer) -> Fault:
    """Why a batch ends with that answer."""
    error = json.loads(answer.body)["error"]
    return Fault(error["code"], error["message"], error["param"])
