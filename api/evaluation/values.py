"""What an evaluation is: what was asked for, how far it is, and each answer that was given."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from api.data_folder.shelf import read_card
from finetune.judging.metrics import Metric

Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]
Arm = Literal["base", "base_documents", "tuned", "tuned_documents"]
PLAIN: tuple[Arm, ...] = ("base", "tuned")
ALL_ARMS: tuple[Arm, ...] = ("base", "base_documents", "tuned", "tuned_documents")
"""In the order of asking: a model is loaded once for both of its ways to answer."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation, as its card says it. `models` are what the two names meant when it began."""

    id: str
    status: Status
    model: str
    base: str
    documents: tuple[str, ...]
    collection: str
    metric: Metric
    metric_pattern: str | None
    questions: int
    max_tokens: int | None
    created_at: str
    started_at: str | None = None
    ended_at: str | None = None
    waits_for: str | None = None
    error: Mapping[str, str] | None = None
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def over_documents(self) -> bool:
        """Whether documents are a lever too."""
        return bool(self.documents or self.collection)

    @property
    def arms(self) -> tuple[Arm, ...]:
        """What is asked, in this order."""
        return ALL_ARMS if self.over_documents else PLAIN

    @property
    def is_on_its_way(self) -> bool:
        """Whether it is going to be brought to an end."""
        return self.status in ("queued", "running")

    def card(self) -> dict[str, Any]:
        """As it is written down; the id is the folder's name."""
        return {name: value for name, value in asdict(self).items() if name != "id"}

    def with_(self, **values: Any) -> "Evaluation":
        """The same with other values."""
        return replace(self, **values)

    @staticmethod
    def of(id: str, card: Mapping[str, Any]) -> "Evaluation":
        """What a card says, without what another release wrote beside it; `errors.NotFound` for a damaged one."""

        def read() -> Evaluation:
            known = {one.name for one in fields(Evaluation)}
            values = {name: value for name, value in card.items() if name in known}
            return Evaluation(**values | {"id": id, "documents": tuple(card["documents"])})

        return read_card("evaluation", id, read)


@dataclass(frozen=True, slots=True)
class Pair:
    """A question, which may have turns before it, and the right answer."""

    messages: Sequence[Mapping[str, str]]
    answer: str


@dataclass(frozen=True, slots=True)
class Given:
    """An answer of one arm to the question of that number. `error` is why there is none; it counts as wrong."""

    arm: Arm
    question: int
    text: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How many of its answers are there, and how long the others take."""

    done: int
    of: int
    eta_seconds: float | None
