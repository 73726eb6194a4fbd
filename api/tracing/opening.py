"""Opens what traces are told to, as the settings say."""

from api.settings import Settings
from api.tracing import Tracer


def open_tracer(settings: Settings) -> Tracer | None:
    """None where none is named: then OpenTelemetry is not loaded."""
    if not settings.otlp_endpoint:
        return None
    from api.tracing.otlp import OtlpTracer

    return OtlpTracer(settings.otlp_endpoint, tells_content=settings.trace_content)
