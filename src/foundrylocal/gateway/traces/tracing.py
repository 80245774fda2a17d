"""Traces of requests: whether there are any, and what the gateway needs of them.

Invariant: `otel.py`, and with it OpenTelemetry's SDK, is imported only when the environment names a collector.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from typing import Protocol

import anyio.abc

from foundrylocal.gateway.stats.request_stats import RequestStats
from foundrylocal.web.asgi import Header

log = logging.getLogger("foundrylocal.FoundryLocalService")

# OpenTelemetry's own variables, so that the service is set up like every other program.
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
EXTRA = "foundrylocal[otel]"


class RequestTrace(Protocol):
    """The trace of one request."""

    @property
    def header(self) -> Header:
        """The response header that identifies the trace."""
        ...

    def end(self, stats: RequestStats, body: bytes) -> None:
        """Finish the span; `body` is exported only if the setting trace_prompts is on."""
        ...


class Tracing(Protocol):
    """Owner of the connection to the collector."""

    def begin(self, endpoint: str, headers: list[Header]) -> RequestTrace:
        """Begin the trace of a request, within the one that its headers name."""
        ...

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None: ...


def is_configured(environment: Mapping[str, str]) -> bool:
    """Whether the environment names a collector and does not turn traces off."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if environment.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() != "otlp":
        return False
    return any(environment.get(name) for name in _ENDPOINTS)


def open_tracing(traces_prompts: Callable[[], bool]) -> Tracing | None:
    """Traces to the collector that the environment names; None without one, or without the extra."""
    if not is_configured(os.environ):
        return None
    try:
        from foundrylocal.gateway.traces.otel import OtelTracing
    except ImportError:
        log.warning(
            "The environment names a collector of traces, but OpenTelemetry is not installed. "
            "Install it with: pip install '%s'",
            EXTRA,
        )
        return None
    return OtelTracing(traces_prompts)
