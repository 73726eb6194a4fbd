"""A collector of traces in memory, which speaks OpenTelemetry's protocol over gRPC."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """What came in, with the name of the service that sent it."""

    spans: list[Span] = field(default_factory=list)
    services: set[str] = field(default_factory=set)
    url: str = ""

    def Export(self, request: Any, context: Any) -> Any:
        """Take what is sent."""
        for resource in request.resource_spans:
            self.services.add(attributes(resource.resource.attributes)["service.name"])
            for scope in resource.scope_spans:
                self.spans += scope.spans
        return trace_service_pb2.ExportTraceServiceResponse()

    def named(self, name: str) -> Span:
        """The only one of that name."""
        (found,) = [one for one in self.spans if one.name == name]
        return found


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    """One on a free port of loopback."""
    server = grpc.server(ThreadPoolExecutor(1))
    collector = Collector()
    add = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
    add(collector, server)  # type: ignore[no-untyped-call]
    collector.url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield collector
    finally:
        server.stop(0).wait()


def attributes(told: Any) -> dict[str, Any]:
    """Names and values."""
    return {one.key: _value(one.value) for one in told}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    return getattr(value, kind or "")
