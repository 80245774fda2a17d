"""The figures of one request, collected on its way: for its log line, the metrics and its response headers."""

from __future__ import annotations

from dataclasses import dataclass, field
from secrets import token_hex
from time import monotonic
from typing import Any

from foundrylocal.errors import FoundryLocalError
from foundrylocal.keys.api_key import PUBLISHED_KEY_NAME
from foundrylocal.web.asgi import Header

_MIN_DECODE_S = 0.001
# Messages of these errors are about what the request holds and may quote it.
_TYPES_THAT_QUOTE = ("invalid_request_error", "not_found_error")


@dataclass(eq=False, slots=True)
class RequestStats:
    """Times are in seconds; None where the request did not get that far or the engine did not report it.

    `key` is the name of its key and `client` who sent it, for people. `began` is monotonic, `at_s` UTC. `has_slot` is
    set once it has left the queue, `has_ended` at its end. `error_message` is what its client was told,
    unless that may quote the request.
    `tokens_drafted` were proposed by speculative decoding; `tokens_accepted` of them became part of the answer.
    """

    endpoint: str
    began: float
    key: str = PUBLISHED_KEY_NAME
    client: str = ""
    at_s: float = 0.0
    id: str = field(default_factory=lambda: f"req-{token_hex(8)}")
    model_id: str = ""
    model_name: str = ""
    has_slot: bool = False
    has_ended: bool = False
    error_message: str | None = None
    context_size: int | None = None
    is_stream: bool = False
    status: int = 0
    outcome: str = "cancelled"
    queue_position: int = 0
    queue_s: float = 0.0
    load_s: float = 0.0
    first_s: float | None = None
    total_s: float = 0.0
    prefill_s: float | None = None
    prefill_tokens: int = 0
    decode_s: float | None = None
    tokens_in: int | None = None
    tokens_cached: int = 0
    tokens_out: int | None = None
    stop_reason: str | None = None
    events: int = 0
    trace_header: Header | None = None
    tokens_drafted: int = 0
    tokens_accepted: int = 0
    unsupported_tools: list[str] = field(default_factory=list)

    def note_first(self) -> None:
        """The first byte of the answer is being sent."""
        self.first_s = monotonic() - self.began

    def note_outcome(self, outcome: str) -> None:
        """How the request ended; the first outcome stands, and a request without an outcome was cancelled."""
        if self.outcome == "cancelled":
            self.outcome = outcome

    def note_failure(self, error: FoundryLocalError) -> None:
        """The request ended with this error; the first outcome stands."""
        if self.outcome == "cancelled":
            self.outcome = error.code
            if error.type not in _TYPES_THAT_QUOTE:
                self.error_message = error.message

    def note_end(self) -> None:
        """The request is over; a stream that ended before the engine reported a count is counted by its events."""
        if self.tokens_out is None and self.is_stream and self.events:
            self.tokens_out = self.events
        self.total_s = monotonic() - self.began
        self.has_ended = True

    def note_timings(self, timings: dict[str, Any]) -> None:
        """The engine's own account of a generation."""
        self.tokens_in = (self.tokens_in or 0) + _number(timings, "prompt_n") + _number(timings, "cache_n")
        self.tokens_cached += _number(timings, "cache_n")
        self.prefill_tokens = max(self.prefill_tokens, _number(timings, "prompt_n"))
        self.tokens_out = (self.tokens_out or 0) + _number(timings, "predicted_n")
        self.tokens_drafted += _number(timings, "draft_n")
        self.tokens_accepted += _number(timings, "draft_n_accepted")
        # Several answers are generated side by side, so the longest time counts and not the sum.
        prefill_s, decode_s = (
            float(timings.get(name) or 0.0) / 1000 for name in ("prompt_ms", "predicted_ms")
        )
        self.prefill_s = max(self.prefill_s or 0.0, prefill_s)
        self.decode_s = max(self.decode_s or 0.0, decode_s)

    def note_usage(self, usage: dict[str, Any]) -> None:
        """The token counts of an answer, under any of the published names; the last report stands."""
        read = next((usage[name] for name in ("prompt_tokens", "input_tokens") if usage.get(name)), None)
        if read is not None:
            self.tokens_in = int(read) + int(usage.get("cache_read_input_tokens") or 0)
        made = next((usage[name] for name in ("completion_tokens", "output_tokens") if usage.get(name)), None)
        if made is not None:
            self.tokens_out = int(made)

    def note_stop_reason(self, reason: Any) -> None:
        """Why the engine stopped: `stop`, `length` or `tool_calls`."""
        if isinstance(reason, str):
            self.stop_reason = reason

    @property
    def tokens_per_s(self) -> float | None:
        """The rate of generation: as the engine reported it, or as measured here."""
        if not self.tokens_out:
            return None
        if self.decode_s is not None and self.decode_s < _MIN_DECODE_S:
            return None  # a single token comes with the prompt and takes no time of its own
        if self.decode_s:
            return self.tokens_out / self.decode_s
        seen_s = self.total_s - (
            self.first_s if self.is_stream and self.first_s else self.queue_s + self.load_s
        )
        return self.tokens_out / seen_s if seen_s > 0 else None

    def identity_headers(self) -> list[Header]:
        """Response headers that name the request: its id in the record, and its trace if there is one."""
        own = (b"x-request-id", self.id.encode())
        return [own] if self.trace_header is None else [own, self.trace_header]

    def headers(self) -> list[Header]:
        """Response headers about the queue and the timings; prefill and decode where they are known by then."""
        parts = [
            ("queue", self.queue_s),
            ("load", self.load_s),
            ("prefill", self.prefill_s),
            ("decode", self.decode_s),
        ]
        timing = ", ".join(
            f"{name};dur={seconds * 1000:.1f}" for name, seconds in parts if seconds is not None
        )
        return [
            *self.identity_headers(),
            (b"x-queue-position", str(self.queue_position).encode()),
            (b"x-queue-wait-ms", str(round(self.queue_s * 1000)).encode()),
            (b"server-timing", timing.encode()),
        ]


def _number(timings: dict[str, Any], name: str) -> int:
    value = timings.get(name)
    return int(value) if isinstance(value, int | float) and value > 0 else 0
