"""OpenTelemetry: traces go to a collector by gRPC, in the background. The `OTEL_...` variables of its SDK hold too."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span as OpenSpan
from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace import Tracer as OpenTracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from api.tracing import TRACE, Attributes, Span

SERVICE = "llm-fastapi"
EXPORT_SECONDS = 5.0
CLOSING_SECONDS = 2.0


class OtlpTracer:
    """`Tracer` that tells a collector."""

    def __init__(self, endpoint: str, *, tells_content: bool) -> None:
        resource = Resource({"service.name": SERVICE}).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer(SERVICE)
        self._tells_content = tells_content

    @contextmanager
    def request(self, method: str, headers: Mapping[str, str]) -> Iterator[Span]:
        """A request, within which `span` has its parts told."""
        parent = TraceContextTextMapPropagator().extract(headers)
        opened = self._tracer.start_span(method, parent, kind=SpanKind.SERVER)
        trace = _Trace(self._tracer, set_span_in_context(opened, parent), self._tells_content)
        token = TRACE.set(trace)
        try:
            yield _Told(opened, tells_content=self._tells_content)
        finally:
            TRACE.reset(token)
            opened.end()

    def close(self) -> None:
        """Tell what is left, unless the collector does not answer. Blocks its thread."""
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(CLOSING_SECONDS)


class _Trace:
    """A request's parts stand below it. None is the current one of its thread: streams are closed in other contexts."""

    def __init__(self, tracer: OpenTracer, context: Context, tells_content: bool) -> None:
        self._tracer = tracer
        self._context = context
        self._tells_content = tells_content

    @contextmanager
    def span(self, name: str, attributes: Attributes) -> Iterator[Span]:
        opened = self._tracer.start_span(name, self._context, kind=SpanKind.CLIENT)
        part = _Told(opened, tells_content=self._tells_content)
        part.tell(attributes)
        try:
            yield part
        except Exception as error:  # its words may be a prompt's
            part.tell({"error.type": type(error).__name__})
            raise
        finally:
            opened.end()


class _Told(Span):
    """A part that is told to a collector."""

    def __init__(self, opened: OpenSpan, *, tells_content: bool) -> None:
        self._opened = opened
        self.tells_content = tells_content

    def tell(self, attributes: Attributes) -> None:
        """What is known of it by now; with an `error.type` it failed, with an `http.route` it is called by that."""
        known = {name: value for name, value in attributes.items() if value is not None}
        self._opened.set_attributes(known)
        if "error.type" in known:
            self._opened.set_status(StatusCode.ERROR)
        if "http.route" in known:
            self._opened.update_name(f"{known.get('http.request.method')} {known['http.route']}")
