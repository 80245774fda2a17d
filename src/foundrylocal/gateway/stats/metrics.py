"""The gateway's figures: Prometheus metrics by model, totals since the start, and one log line per request.

Invariant: a label is a model of the registry, a path of the gateway, the name of a key or a name of ours, never text
of a client, so the number of series is bounded.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from foundrylocal.gateway.flow.queue import FairQueue
from foundrylocal.gateway.stats.request_stats import RequestStats
from foundrylocal.keys.api_key import PUBLISHED_KEY_NAME

log = logging.getLogger("foundrylocal.FoundryLocalService")

# A time of creation for each series doubles their number and is of no use here.
disable_created_metrics()  # type: ignore[no-untyped-call]

_FIRST_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180)
_WAIT_BUCKETS = (0.001, 0.01, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 180, 600)
_RATE_BUCKETS = (1, 2, 5, 10, 20, 40, 80, 160, 320, 640)


@dataclass(slots=True)
class Totals:
    """Since the service started, for /status."""

    requests: int = 0
    failed: int = 0
    cancelled: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_drafted: int = 0
    tokens_accepted: int = 0


class _QueueGauges(Collector):
    """The queues at the moment of a scrape."""

    def __init__(self, queue: FairQueue) -> None:
        self._queue = queue

    def collect(self) -> Iterator[GaugeMetricFamily]:
        running = GaugeMetricFamily("foundrylocal_requests_running", "Requests in a slot", labels=["model"])
        waiting = GaugeMetricFamily(
            "foundrylocal_requests_waiting", "Requests in the queue", labels=["model"]
        )
        for model_id, stats in self._queue.snapshot().items():
            running.add_metric([model_id], stats.running)
            waiting.add_metric([model_id], stats.waiting)
        yield running
        yield waiting


class Metrics:
    """Owner of the counters of this service; `has_key` says whether a key of that name still exists."""

    def __init__(self, queue: FairQueue, has_key: Callable[[str], bool] = lambda name: True) -> None:
        self._has_key = has_key
        self._registry = registry = CollectorRegistry()
        self._totals = Totals()
        registry.register(_QueueGauges(queue))
        by_model = ["model"]
        self._requests = Counter(
            "foundrylocal_requests",
            "Requests by outcome",
            ["model", "endpoint", "outcome"],
            registry=registry,
        )
        self._tokens_in = Counter("foundrylocal_prompt_tokens", "Prompt tokens", by_model, registry=registry)
        self._tokens_out = Counter(
            "foundrylocal_completion_tokens", "Generated tokens", by_model, registry=registry
        )
        self._drafted, self._accepted = (
            Counter(f"foundrylocal_draft_tokens{name}", text, by_model, registry=registry)
            for name, text in (
                ("", "Tokens that speculative decoding proposed"),
                ("_accepted", "Proposed tokens that became part of an answer"),
            )
        )
        self._first = Histogram(
            "foundrylocal_time_to_first_token_seconds",
            "Time from the complete request to the first byte of a stream",
            by_model,
            buckets=_FIRST_BUCKETS,
            registry=registry,
        )
        self._rate = Histogram(
            "foundrylocal_tokens_per_second",
            "Generated tokens per second",
            by_model,
            buckets=_RATE_BUCKETS,
            registry=registry,
        )
        self._wait = Histogram(
            "foundrylocal_queue_wait_seconds",
            "Time in the queue for a slot",
            by_model,
            buckets=_WAIT_BUCKETS,
            registry=registry,
        )

        self._by_key = tuple(
            Counter(f"foundrylocal_key_{name}", text, ["key"], registry=registry)
            for name, text in (
                ("requests", "Requests by the name of their key"),
                ("prompt_tokens", "Prompt tokens by key"),
                ("completion_tokens", "Generated tokens by key"),
            )
        )
        self._unsupported_tools = Counter(
            "foundrylocal_unsupported_tools",
            "Tools of requests that a provider would run, and that were left out",
            ["tool"],
            registry=registry,
        )

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    @property
    def totals(self) -> Totals:
        return self._totals

    def note_refused(self, endpoint: str | None, code: str) -> None:
        """Count a request that was refused before it was read; `endpoint` is None for an unknown path."""
        self._requests.labels("none", endpoint or "other", code).inc()

    def forget_key(self, name: str) -> None:
        """Drop the series of a key that was revoked, so that their number stays bounded."""
        for counter in self._by_key:
            with contextlib.suppress(KeyError):
                counter.remove(name)

    def note(self, stats: RequestStats) -> None:
        """Count a request that has ended and log its line; neither holds any of the prompt."""
        totals, model = self._totals, stats.model_id or "none"
        totals.requests += 1
        totals.failed += stats.outcome not in ("ok", "cancelled")
        totals.cancelled += stats.outcome == "cancelled"
        totals.tokens_in += stats.tokens_in or 0
        totals.tokens_out += stats.tokens_out or 0
        totals.tokens_drafted += stats.tokens_drafted
        totals.tokens_accepted += stats.tokens_accepted
        self._requests.labels(model, stats.endpoint, stats.outcome).inc()
        for counter, count in zip(self._by_key, (1, stats.tokens_in, stats.tokens_out), strict=True):
            counter.labels(stats.key if self._has_key(stats.key) else "revoked").inc(count or 0)
        if stats.tokens_in:
            self._tokens_in.labels(model).inc(stats.tokens_in)
        if stats.tokens_out:
            self._tokens_out.labels(model).inc(stats.tokens_out)
        if stats.tokens_drafted:
            self._drafted.labels(model).inc(stats.tokens_drafted)
            self._accepted.labels(model).inc(stats.tokens_accepted)
        if stats.is_stream and stats.first_s is not None:
            self._first.labels(model).observe(stats.first_s)
        rate = stats.tokens_per_s
        if rate is not None:
            self._rate.labels(model).observe(rate)
        if stats.model_id:
            self._wait.labels(model).observe(stats.queue_s)
        for tool in stats.unsupported_tools:
            self._unsupported_tools.labels(tool).inc()
        log.info("%s", _line(stats, rate))


def _line(stats: RequestStats, rate: float | None) -> str:
    parts = [f"{stats.endpoint} {stats.status or '-'} {stats.outcome}"]
    if stats.model_id:
        parts.append(f"model={stats.model_id}")
    if stats.key != PUBLISHED_KEY_NAME:
        parts.append(f"key={stats.key}")
    if stats.tokens_in is not None or stats.tokens_out is not None:
        parts.append(f"tokens_in={stats.tokens_in or 0} tokens_out={stats.tokens_out or 0}")
    elif stats.is_stream:
        parts.append(f"events={stats.events}")
    if stats.is_stream and stats.first_s is not None:
        parts.append(f"first_token={stats.first_s * 1000:.0f}ms")
    if rate is not None:
        parts.append(f"tokens_per_s={rate:.1f}")
    parts += _waits(stats)
    if stats.tokens_drafted:
        parts.append(f"drafted={stats.tokens_drafted} accepted={stats.tokens_accepted}")
    if stats.unsupported_tools:
        parts.append(f"left_out_tools={','.join(sorted(set(stats.unsupported_tools)))}")
    parts.append(f"total={stats.total_s * 1000:.0f}ms")
    return " ".join(parts)


def _waits(stats: RequestStats) -> list[str]:
    waits = [("queue", stats.queue_s, 0.001), ("load", stats.load_s, 0.1)]
    return [f"{name}={seconds * 1000:.0f}ms" for name, seconds, least_s in waits if seconds >= least_s]
