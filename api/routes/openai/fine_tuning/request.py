"""The request for a fine-tuning job: what it must have, and what it is as a submission."""

from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from api.http.request_body import invalid
from api.names import MAX_NAME_CHARACTERS
from api.routes.openai.body import Unsupported, refuse
from api.routes.openai.fine_tuning.hyperparameters import Hyperparameters, parameters_of
from api.routes.openai.metadata import Metadata
from api.tables.learned import TrainTable

UNSUPPORTED = {
    "integrations": Unsupported(
        "Runs are told to the trackers of the service alone: see its settings.", ([],)
    ),
}
TABLE = "tb_"
"""What the id of a table begins with."""
METHODS = {"supervised": "sft", "dpo": "dpo"}
"""What their methods are called here."""

FileId = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS)]
Suffix = Annotated[
    str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")
]


class OneMethod(BaseModel):
    """How one of the methods is to learn."""

    hyperparameters: Hyperparameters | None = None


class Method(BaseModel):
    """The method, and how it is to learn."""

    type: Literal["supervised", "dpo", "reinforcement"]
    supervised: OneMethod | None = None
    dpo: OneMethod | None = None


class CreateJobRequest(BaseModel):
    """What to train from, on and how; `hyperparameters` may stand beside `method`, as they once did.

    `training_file` is the id of a file, or of a table; `train_table`, which is ours, says which rows of one, or of a
    database, and then there is no file (the SDK, which must have one, sends an empty id).
    """

    model: str = Field(min_length=1, max_length=MAX_NAME_CHARACTERS)
    training_file: str = Field("", max_length=MAX_NAME_CHARACTERS)
    train_table: TrainTable | None = None
    validation_file: FileId | None = None
    suffix: Suffix | None = None
    seed: int | None = Field(None, ge=0, le=2**31 - 1)
    metadata: Metadata = Field(default_factory=dict)
    hyperparameters: Hyperparameters | None = None
    method: Method | None = None

    def table(self) -> TrainTable | None:
        """The rows of a table, or of a database, that are learned in the place of a file."""
        if self.train_table and self.training_file:
            raise refuse("train_table", "Given beside `training_file`: send one of them.")
        if not (self.train_table or self.training_file):
            raise invalid("training_file", "Required: the id of a file, or of a table.")
        is_table = self.training_file.startswith(TABLE)
        return TrainTable(table=self.training_file) if is_table else self.train_table

    @cached_property
    def where(self) -> str:
        """The member in which the hyperparameters came."""
        method = self.method
        chosen = method and getattr(method, method.type, None)
        has_some = chosen and chosen.hyperparameters
        return f"method.{method.type}.hyperparameters" if method and has_some else "hyperparameters"

    def parameters(self) -> dict[str, Any]:
        """As a run takes them: those of the method before those beside it."""
        given = self.hyperparameters.given() if self.hyperparameters else {}
        parameters: dict[str, Any] = {"suffix": self.suffix, "metadata": self.metadata}
        if self.method:
            given |= self._of_method(self.method)
            wanted = METHODS[self.method.type]
            if given.setdefault("method", wanted) != wanted:
                raise refuse(f"{self.where}.method", f"method.type is {self.method.type}.")
        if "beta" in given and given.get("method") != "dpo":
            raise refuse(f"{self.where}.beta", "method.type dpo alone has one.")
        if self.seed is not None:
            given["seed"] = self.seed
        return {**parameters_of(given, self.where), **parameters}

    def _of_method(self, method: Method) -> dict[str, Any]:
        if method.type not in METHODS:
            raise refuse("method.type", f"{method.type} is not known here: {', '.join(METHODS)}.")
        for name in METHODS:
            if name != method.type and getattr(method, name):
                raise refuse(f"method.{name}", f"method.type is {method.type}.")
        chosen: OneMethod | None = getattr(method, method.type)
        return chosen.hyperparameters.given() if chosen and chosen.hyperparameters else {}
