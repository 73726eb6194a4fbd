"""The facts that can stand between a request and its answer, with their HTTP status and common texts.

    ApiError
    |- BadRequest 400, ReadOnly 403
    |- NotFound 404            ModelNotFound, DocumentNotFound, CollectionNotFound, JobNotFound, FileNotFound,
    |                          BaseModelNotTrainable
    |- TooSlow 408
    |- Conflict 409            NameTaken, WrongState, ModelInUse, EmbeddingMismatch
    |- TooLarge 413
    |- UnsupportedMediaType 415
    |- TooManyRequests 429
    |- ClientGone 499          for the log alone: nobody reads the answer
    |- Unusable 422            InvalidName, AmbiguousName, InvalidOption, PromptTooLong, DocumentUnusable,
    |                          DatasetUnusable, DoesNotFit, BaseModelUnfit
    |- BackEndFailed 502       ModelDamaged
    |- Unavailable 503         NotReady, DeviceInUse
    |- NotOpened 503           without `Retry-After`: somebody has to put it right first
    `- OutOfSpace 507

Domain code raises these (of keys: `auth/refusals.py`; of parts of a file: `http/files.py`), adapters translate others
into them, `problems.py` writes them.
"""

import contextlib
import errno
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

MAX_DETAIL_CHARACTERS = 1000


class ApiError(Exception):
    """A fact with a status. `detail` says what is wrong, where, and what to do; `extra` goes on the wire beside it."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(
        self, detail: str, *, retry_after_seconds: int | None = None, **extra: Any
    ) -> None:
        super().__init__(detail)
        is_long = len(detail) > MAX_DETAIL_CHARACTERS  # a name of a megabyte is not sent back
        self.detail = detail[:MAX_DETAIL_CHARACTERS] + "..." if is_long else detail
        self.retry_after_seconds = retry_after_seconds
        self.extra: Mapping[str, Any] = extra

    def as_problem(self) -> dict[str, Any]:
        """The fields of an RFC 9457 problem, without `instance`."""
        return {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **self.extra,
        }


class BadRequest(ApiError):
    """The request could not be read."""

    status = 400
    title = "Malformed request"


class ReadOnly(ApiError):
    """Shared by the first workspace: for others to use, not to change or delete."""

    status = 403
    title = "Read only"


class NotFound(ApiError):
    """A named thing does not exist."""

    status = 404
    title = "Not found"


class ModelNotFound(NotFound):
    """No model of that name."""

    title = "Model not found"

    def __init__(self, name: str, created: Sequence[str] = ()) -> None:
        self.name, self.created = name, created
        known = ", ".join(created) if created else "none yet"
        extra: dict[str, Any] = {"Created Models": list(created)}
        super().__init__(f"No model named {name!r}. Models: {known}.", **extra)


class BaseModelNotTrainable(NotFound):
    """There is no Hugging Face folder to train for that base."""

    title = "Base model not trainable"

    def __init__(self, name: str, trainable: Sequence[str]) -> None:
        known = ", ".join(trainable) if trainable else "none"
        super().__init__(
            f"No trainable base model for {name!r}. Trainable: {known}. "
            "Fetch more with: python scripts/load_base_model.py ORGANISATION/MODEL",
            trainable=list(trainable),
        )


class DocumentNotFound(NotFound):
    """No document of that name or id."""

    title = "Document not found"


class CollectionNotFound(NotFound):
    """No collection of that name or id."""

    title = "Collection not found"


class JobNotFound(NotFound):
    """No job of that id."""

    title = "Job not found"


class FileNotFound(NotFound):
    """A job has no file of that name."""

    title = "File not found"


class TooSlow(ApiError):
    """The request does not arrive in time."""

    status = 408
    title = "Request too slow"


class Conflict(ApiError):
    """The state of things forbids it."""

    status = 409
    title = "Conflict"


class NameTaken(Conflict):
    """Something else has that name already."""

    title = "Name taken"


class WrongState(Conflict):
    """Not possible in the state the job is in."""

    title = "Wrong state"


class ModelInUse(Conflict):
    """A job still needs the model."""

    title = "Model in use"


class EmbeddingMismatch(Conflict):
    """The index was built with another embedding model."""

    title = "Embedding model differs"


class TooLarge(ApiError):
    """More bytes than are allowed."""

    status = 413
    title = "Too large"


class UnsupportedMediaType(ApiError):
    """Not the kind of file or body that is expected."""

    status = 415
    title = "Unsupported type"


class TooManyRequests(ApiError):
    """More than is allowed at once, or in a while; `Retry-After` says when to try again."""

    status = 429
    title = "Too many requests"


class ClientGone(ApiError):
    """The client went away before its answer was there."""

    status = 499
    title = "Client went away"


class Unusable(ApiError):
    """Understood, but the content cannot be used."""

    status = 422
    title = "Unusable content"


class InvalidName(Unusable):
    """A name that breaks the rules for names."""

    title = "Invalid name"


class AmbiguousName(Unusable):
    """A document's name without its ending, when several documents have it and none is a PDF."""

    title = "Name of several documents"

    def __init__(self, name: str, names: Sequence[str]) -> None:
        super().__init__(
            f"{name!r} can be any of {', '.join(map(repr, names))}. Name it with its ending.",
            documents=list(names),
        )


class InvalidOption(Unusable):
    """An option that is unknown, out of range, or not supported by the runtime."""

    title = "Invalid option"

    @classmethod
    def at(cls, where: str, why: str) -> "InvalidOption":
        """Of the field `where`, with which its words begin."""
        return cls(f"{where}: {why}", where=where)


class PromptTooLong(Unusable):
    """The prompt and the answer asked for do not fit into the context."""

    title = "Prompt too long"

    def __init__(
        self, tokens: int, limit: int, *, answer: int = 1, context_can_grow: bool = True
    ) -> None:
        """`limit` is what the context leaves beside `answer` tokens; whether `num_ctx` may grow. 0 `tokens`: unsaid."""
        beside = f" beside an answer of {answer}" if answer > 1 else ""
        ways = ["shorten it"] if limit or answer == 1 else []
        ways += ["ask for a smaller max_tokens"] if answer > 1 else []
        ways += ["raise num_ctx"] if context_can_grow else []
        fact = f"needs {tokens} tokens and the context leaves room for {limit}{beside}"
        super().__init__(
            f"The prompt {fact if tokens else 'is longer than its model reads'}. {', or '.join(ways).capitalize()}.",
            prompt_tokens=tokens,
            limit_tokens=limit,
        )


class DocumentUnusable(Unusable):
    """A document that cannot be used: `reason` is broken, encrypted, no_text, too_many_pages, too_slow..."""

    title = "Document cannot be used"

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail, reason=reason)
        self.reason = reason


class DatasetUnusable(Unusable):
    """A dataset with rows that are no conversation; `errors` names row, column and reason."""

    title = "Dataset cannot be used"


class BaseModelUnfit(Unusable):
    """The base is there, and cannot be fine-tuned."""

    title = "Base model cannot be fine-tuned"


class DoesNotFit(Unusable):
    """A run that needs more memory than there is where it would train; `would_fit` names settings that need less."""

    title = "Does not fit"


class BackEndFailed(ApiError):
    """A service or child process behind us failed while it answered."""

    status = 502
    title = "Back end failed"


class ModelDamaged(BackEndFailed):
    """A model is there and cannot be read; it can be deleted and replaced."""

    title = "Model damaged"


class Unavailable(ApiError):
    """Not now; `Retry-After` says when to try again."""

    status = 503
    title = "Unavailable"

    def __init__(self, detail: str, *, retry_after_seconds: int = 5, **extra: Any) -> None:
        super().__init__(detail, retry_after_seconds=retry_after_seconds, **extra)


class NotReady(Unavailable):
    """Something that is prepared at the first start is not there yet."""

    title = "Not ready"


class DeviceInUse(Unavailable):
    """A job trains on the device that a model would be loaded on; `until` is when it is expected to end."""

    title = "Device in use"


class NotOpened(ApiError):
    """The service could not open what it works with, and does not try again by itself."""

    status = 503
    title = "Cannot start"


class OutOfSpace(ApiError):
    """The disk is full, or what we may take of it."""

    status = 507
    title = "No space left"

    @staticmethod
    def is_behind(error: Exception) -> bool:
        """Whether that is why the system has refused."""
        return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)

    @classmethod
    @contextlib.contextmanager
    def with_detail(cls, detail: str) -> Iterator[None]:
        """What is written in here and finds the disk full fails with this."""
        try:
            yield
        except OSError as error:
            if cls.is_behind(error):
                raise cls(detail) from error
            raise


class CannotStart(Exception):
    """The service refuses to start; the message is the one line that says what is wrong and what to do."""
