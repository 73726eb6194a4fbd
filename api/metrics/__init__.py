"""What a monitor reads: the figures of the service as Prometheus takes them, with the stems that dashboards know.

No label tells a user or a key; a model's name is one, so that the page is as confidential as the list of models.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from api.metrics.gpus import Gpu
from api.runtime import Usage

PREFIX = "llm_fastapi"
CONTENT_TYPE = CONTENT_TYPE_LATEST
FIRST_TOKEN = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75),
    *(1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560),
)
"""vLLM's buckets of the time to the first token, in seconds, so that its dashboards fit."""
A_TOKEN = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5)
"""OpenTelemetry's buckets of the time of an output token, in seconds."""
WHOLE = tuple(0.01 * 2**n for n in range(14))
"""OpenTelemetry's buckets of the duration of a call, in seconds."""

Counts = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Now:
    """What is counted when the page is read, of all workspaces."""

    answers: Mapping[str, tuple[int, int]]
    """By model how many run and how many wait."""
    imports: tuple[int, int]
    batches: tuple[int, int]
    """How many run and how many wait."""
    jobs: Counts
    documents: Counts
    """By status."""
    gpus: Sequence[Gpu] = ()


class Figures:
    """The counters and clocks of one service."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._running = self._gauge("num_requests_running", "Answers being written.", "model_name")
        self._waiting = self._gauge(
            "num_requests_waiting", "Answers that wait for a place.", "model_name"
        )
        self._batches = self._gauge("num_batches_running", "Batches being answered.")
        self._batches_waiting = self._gauge(
            "num_batches_waiting", "Batches that wait for another of their key to end."
        )
        self._importing = self._gauge("num_imports_running", "Documents being imported.")
        self._imports_waiting = self._gauge(
            "num_imports_waiting", "Documents that wait for their turn to be read."
        )
        self._gpu_used = self._gauge("gpu_memory_used_bytes", "Memory in use.", "gpu")
        self._gpu_total = self._gauge("gpu_memory_total_bytes", "Memory there is.", "gpu")
        self._jobs = self._gauge("jobs", "Fine-tuning jobs by status.", "status")
        self._documents = self._gauge("documents", "Documents by status.", "status")
        self._prompt = self._counter("prompt_tokens", "Tokens read.", "model_name")
        self._said = self._counter("generation_tokens", "Tokens written.", "model_name")
        self._ended = self._counter(
            "request_success", "Answers that ended.", "model_name", "finished_reason"
        )
        self._failed = self._counter(
            "request_failure", "Answers that failed.", "model_name", "error"
        )
        self._first = self._clock(
            "time_to_first_token_seconds", "From asking to the first token.", FIRST_TOKEN
        )
        self._token = self._clock(
            "inter_token_latency_seconds", "Between one token and the next.", A_TOKEN
        )
        self._whole = self._clock("e2e_request_latency_seconds", "From asking to the end.", WHOLE)
        self._queued = self._clock("request_queue_time_seconds", "Waiting for a place.", WHOLE)
        self._of_models = (
            *(self._prompt, self._said, self._ended, self._failed),
            *(self._first, self._token, self._whole, self._queued),
        )
        self._requests = self._counter(
            "http_requests", "Requests by route and status.", "route", "status"
        )

    def queued(self, model: str, seconds: float) -> None:
        """An answer had its place after so long."""
        self._queued.labels(model).observe(seconds)

    def began(self, model: str, seconds: float) -> None:
        """An answer's first token came after so long."""
        self._first.labels(model).observe(seconds)

    def went_on(self, model: str, seconds: float) -> None:
        """Another token came so long after the last."""
        self._token.labels(model).observe(seconds)

    def ended(self, model: str, usage: Usage, seconds: float) -> None:
        """An answer ended after so long."""
        self._prompt.labels(model).inc(usage.prompt_tokens)
        self._said.labels(model).inc(usage.completion_tokens)
        self._ended.labels(model, usage.finish_reason).inc()
        self._whole.labels(model).observe(seconds)

    def failed(self, model: str, error: str) -> None:
        """An answer failed with an error of that title."""
        self._failed.labels(model, error).inc()

    def forget(self, model: str) -> None:
        """The model is gone, or has another name: the page does not tell of it for ever."""
        for one in self._of_models:
            one.remove_by_labels({"model_name": model})

    def answered(self, route: str, status: int | None) -> None:
        """A request was answered."""
        self._requests.labels(route, str(status or 0)).inc()

    def page(self, now: Now) -> bytes:
        """The page, with what is counted now."""
        self._importing.set(now.imports[0])
        self._imports_waiting.set(now.imports[1])
        self._batches.set(now.batches[0])
        self._batches_waiting.set(now.batches[1])
        told: dict[Gauge, Mapping[str, float]] = {
            self._running: {model: running for model, (running, _) in now.answers.items()},
            self._waiting: {model: waiting for model, (_, waiting) in now.answers.items()},
            self._jobs: now.jobs,
            self._documents: now.documents,
            self._gpu_used: {gpu.number: gpu.used for gpu in now.gpus},
            self._gpu_total: {gpu.number: gpu.total for gpu in now.gpus},
        }
        for gauge, values in told.items():
            gauge.clear()
            for label, value in values.items():
                gauge.labels(label).set(value)
        return generate_latest(self._registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", text, labels, registry=self._registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", text, labels, registry=self._registry)

    def _clock(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(
            f"{PREFIX}_{name}", text, ("model_name",), buckets=buckets, registry=self._registry
        )
