"""Traces of requests through both programs, for OpenTelemetry. They are off unless an address for them is set.

Without the packages of the extra “traces”, spans are made by the interface alone, which does nothing.
"""

from __future__ import annotations

import logging
import os

from opentelemetry import trace

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
"""The variable by which OpenTelemetry's own programs are told where traces go."""
log = logging.getLogger(__name__)


def set_up_tracing(service: str) -> None:
    """Send the spans of this process to the address in the environment; do nothing if there is none."""
    if not os.environ.get(ENDPOINT):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning("%s is set, but the packages for traces are missing: pip install '.[traces]'", ENDPOINT)
        return
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    # A thread of its own sends them, so that nothing waits for whoever collects them.
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
