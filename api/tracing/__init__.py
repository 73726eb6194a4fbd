"""Traces of requests: what takes time says `span`, by OpenTelemetry's conventions for generative AI.

Where no traces are wanted, and outside of requests, that costs nothing and loads nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Protocol

Value = str | bool | int | float | Sequence[str]
Attributes = Mapping[str, Value | None]
"""By OpenTelemetry's names; what is None is not told."""


class Span:
    """A part of a request, and how long it took. This one is of none, and keeps nothing."""

    tells_content = False
    """Whether prompts, passages and answers are wanted."""

    def tell(self, attributes: Attributes) -> None:
        """What is known of it by now."""


class Trace(Protocol):
    """A request as a whole, to which its parts are told."""

    def span(self, name: str, attributes: Attributes) -> AbstractContextManager[Span]:
        """Another part; an error that leaves it is told."""
        ...


class Tracer(Protocol):
    """Tells traces to somebody else."""

    def request(self, method: str, headers: Mapping[str, str]) -> AbstractContextManager[Span]:
        """A request, within which `span` has its parts told; a `traceparent` that came along is taken over."""
        ...

    def close(self) -> None:
        """Tell what is left, unless that takes seconds."""
        ...


TRACE: ContextVar[Trace | None] = ContextVar("trace", default=None)
"""Of the running request; set by who opens it."""


@contextmanager
def span(operation: str, target: str, attributes: Attributes) -> Iterator[Span]:
    """What stands within is a part of the running request: `operation` is what OpenTelemetry calls it."""
    trace = TRACE.get()
    if trace is None:
        yield Span()
        return
    with trace.span(
        f"{operation} {target}", {"gen_ai.operation.name": operation, **attributes}
    ) as part:
        yield part
