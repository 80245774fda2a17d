"""Spans by OpenTelemetry's SDK, exported over OTLP/HTTP by a thread of its own.

Invariant: the event loop never waits for a collector. Spans that it does not take are dropped when the SDK's bounded
queue is full, and an end of the service waits CLOSE_TIMEOUT_S for the last ones.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from functools import partial

import anyio
import anyio.abc
import anyio.to_thread
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from foundrylocal import __version__
from foundrylocal.gateway.stats.request_stats import RequestStats
from foundrylocal.gateway.traces.attributes import (
    first_attributes,
    input_messages,
    is_failure,
    last_attributes,
    operation_of,
    phases,
    span_name,
)
from foundrylocal.web.asgi import Header

log = logging.getLogger("foundrylocal.FoundryLocalService")

CLOSE_TIMEOUT_S = 2.0
EXPORT_TIMEOUT_S = 5.0
_CONTEXT_HEADERS = (b"traceparent", b"tracestate")
_NS = 1_000_000_000


class OtelTracing:
    """The SDK as this service uses it; `exporter` replaces the one to the collector."""

    def __init__(self, traces_prompts: Callable[[], bool], exporter: SpanExporter | None = None) -> None:
        self._traces_prompts = traces_prompts
        resource = Resource.create(
            {
                "service.name": os.environ.get("OTEL_SERVICE_NAME", "foundrylocal"),
                "service.version": __version__,
            }
        )
        # The SDK's own hook at the interpreter's exit would wait for a collector that does not answer.
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter or _exporter()))
        self._tracer = self._provider.get_tracer("foundrylocal.gateway", __version__)
        self._propagator = TraceContextTextMapPropagator()
        self._log_handler = _SdkLog()
        _sdk_logger().addHandler(self._log_handler)
        _sdk_logger().propagate = False

    def begin(self, endpoint: str, headers: list[Header]) -> OtelTrace:
        """The trace of one request, within the one that its `traceparent` names."""
        carrier = {
            name.decode(): value.decode("latin-1") for name, value in headers if name in _CONTEXT_HEADERS
        }
        span = self._tracer.start_span(
            operation_of(endpoint),
            context=self._propagator.extract(carrier, context=Context()),
            kind=SpanKind.SERVER,
            attributes=first_attributes(endpoint),
        )
        return OtelTrace(self._tracer, span, self._traces_prompts)

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Export until cancelled, then send what is left."""
        task_status.started()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await self._close()
            _sdk_logger().removeHandler(self._log_handler)

    async def _close(self) -> None:
        # A thread that the interpreter does not wait for, in case the collector does not answer.
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        await anyio.to_thread.run_sync(partial(closing.join, CLOSE_TIMEOUT_S))


class OtelTrace:
    """The span of one request; the parts of its time become spans within it at its end."""

    def __init__(self, tracer: Tracer, span: Span, traces_prompts: Callable[[], bool]) -> None:
        self._tracer = tracer
        self._span = span
        self._traces_prompts = traces_prompts
        self._began_ns = time.time_ns()

    @property
    def header(self) -> Header:
        """`traceresponse`: the ids of this trace, in the form of `traceparent`."""
        context = self._span.get_span_context()
        text = f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
        return b"traceresponse", text.encode()

    def end(self, stats: RequestStats, body: bytes) -> None:
        """Finish the span; `body` is exported only if the setting trace_prompts is on."""
        if not self._span.is_recording():
            self._span.end()
            return
        self._span.update_name(span_name(stats))
        self._span.set_attributes(last_attributes(stats))
        if self._traces_prompts() and (messages := input_messages(body)) is not None:
            self._span.set_attribute("gen_ai.input.messages", messages)
        if is_failure(stats):
            self._span.set_status(Status(StatusCode.ERROR, stats.error_message or stats.outcome))
        within = set_span_in_context(self._span, Context())
        for name, began_s, ended_s in phases(stats):
            part = self._tracer.start_span(name, context=within, start_time=self._at_ns(began_s))
            part.end(self._at_ns(ended_s))
        self._span.end(self._at_ns(stats.total_s))

    def _at_ns(self, seconds: float) -> int:
        return self._began_ns + round(seconds * _NS)


class _SdkLog(logging.Handler):
    """The SDK's warnings in our log, each once: a collector that is down would fill it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._seen: set[object] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg not in self._seen and len(self._seen) < 100:
            self._seen.add(record.msg)
            log.warning("Traces: %s", record.getMessage())


def _sdk_logger() -> logging.Logger:
    return logging.getLogger("opentelemetry")


def _exporter() -> SpanExporter:
    is_set = {"OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"} & os.environ.keys()
    return OTLPSpanExporter(timeout=None if is_set else EXPORT_TIMEOUT_S)
