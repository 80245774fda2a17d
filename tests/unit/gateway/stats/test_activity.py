"""The record of requests: bounded, filtered, without content; and how a running request is ended."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path
from typing import Any

import anyio
import pytest

from foundrylocal.errors import FoundryLocalError, InvalidRequest, ModelNotFound, QueueFull
from foundrylocal.gateway.stats.activity import Activity, RequestEnded
from foundrylocal.gateway.stats.captures import MAX_CAPTURED_BYTES, Captures
from foundrylocal.gateway.stats.request_stats import RequestStats
from foundrylocal.keys.errors import KeyRevoked
from foundrylocal.wire.requests import RequestEntry, RequestsSummary

pytestmark = pytest.mark.anyio
CHAT = "/v1/chat/completions"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def note(activity: Activity, outcome: str = "ok", **figures: Any) -> RequestStats:
    """One request from its beginning to its end."""
    stats = RequestStats(CHAT, 0.0, **figures)
    with activity.running(stats):
        stats.note_outcome(outcome)
        stats.note_end()
    return stats


async def test_an_entry_has_the_published_fields_from_its_beginning_to_its_end() -> None:
    activity = Activity(lambda: 10)
    stats = RequestStats(CHAT, 0.0, key="alice", client="127.0.0.1 curl/8", at_s=1_737_369_000.0)
    with activity.running(stats):
        (waiting,) = activity.entries(10)[0]
        assert (waiting["status"], waiting["total_ms"], waiting["tokens_in"]) == ("waiting", None, None)
        stats.has_slot, stats.is_stream, stats.events = True, True, 4
        stats.model_id, stats.model_name = "org/m", "m"
        (running,) = activity.entries(10)[0]
        assert (running["status"], running["tokens_out"]) == ("running", 4)
        stats.note_timings(
            {"prompt_n": 3, "cache_n": 2, "prompt_ms": 5, "predicted_n": 7, "predicted_ms": 70}
        )
        stats.note_outcome("ok")
        stats.note_end()
    (ended,), total = activity.entries(10)
    assert RequestEntry.model_validate(ended).model_dump() == ended and total == 1
    assert ended["at"] == "2025-01-20T10:30:00Z" and ended["id"] == stats.id
    figures = ("status", "tokens_in", "tokens_cached", "tokens_out", "tokens_per_second", "prefill_ms")
    assert [ended[name] for name in figures] == ["ok", 5, 2, 7, 100.0, 5]
    assert RequestsSummary.model_validate(activity.summary()).ended_count == 1


async def test_filters_and_the_newest_first() -> None:
    activity = Activity(lambda: 10)
    first = note(activity, model_id="a/m")
    second = note(activity, "worker_crashed", key="alice", model_id="b/m")
    third = note(activity, "cancelled", key="alice", model_id="a/m")
    with activity.running(RequestStats(CHAT, 0.0, key="alice")) as running:

        def ids(**filters: Any) -> list[str]:
            return [entry["id"] for entry in activity.entries(10, **filters)[0]]

        assert ids() == [running.stats.id, third.id, second.id, first.id]
        assert ids(model_id="a/m") == [third.id, first.id]
        assert ids(key="alice", status="failed") == [second.id]
        assert ids(status="cancelled") == [third.id]
        assert ids(key="nobody") == []
        entries, total = activity.entries(2, key="alice")
        assert (len(entries), total) == (2, 3)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (QueueFull(3, 1), "Too many requests are waiting for this model"),
        (InvalidRequest("Invalid request: 'a secret of the prompt' is not a role"), None),
        (ModelNotFound("a secret of the prompt"), None),
    ],
)
async def test_an_error_that_may_quote_the_request_is_kept_by_its_code(
    error: FoundryLocalError, message: str | None
) -> None:
    activity = Activity(lambda: 10)
    stats = RequestStats(CHAT, 0.0)
    with activity.running(stats):
        stats.note_failure(error)
        stats.note_end()
    (entry,) = activity.entries(1)[0]
    assert entry["error"] == {"code": error.code, "message": message}
    assert entry["status"] == "failed" and "secret" not in str(activity.summary())


async def test_ending_a_request_cancels_its_work_and_keeps_the_first_reason() -> None:
    activity = Activity(lambda: 10)
    stats = RequestStats(CHAT, 0.0, key="alice")
    with activity.running(stats) as running, running.scope:
        assert activity.end(stats.id) and not activity.end("req-unknown")
        activity.end_of_key("alice")
        await anyio.sleep_forever()
    assert isinstance(running.ended_with, RequestEnded)
    assert not activity.end(stats.id) and activity.find(stats.id)
    other = RequestStats(CHAT, 0.0, key="bob")
    with activity.running(other) as running:
        activity.end_of_key("alice")
        assert running.ended_with is None
        activity.end_of_key("bob")
    assert isinstance(running.ended_with, KeyRevoked)


async def test_ten_thousand_requests_later_the_record_is_bounded_and_the_memory_flat() -> None:
    activity = Activity(lambda: 1000)

    def many(number: int) -> int:
        for count in range(number):
            note(activity, model_id="org/model", client=f"127.0.0.1 program/{count}")
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        full_bytes = many(2_000)
        assert many(10_000) - full_bytes < 50_000
        assert full_bytes < 2_000_000
    finally:
        tracemalloc.stop()
    assert activity.entries(10_000)[1] == 1000


async def test_a_smaller_limit_holds_from_the_next_request_on() -> None:
    limit = 5
    activity = Activity(lambda: limit)
    for _ in range(9):
        note(activity)
    assert activity.entries(100)[1] == 5
    limit = 0
    note(activity)
    assert activity.entries(100) == ([], 0)


async def test_captures_are_off_bounded_and_gone_with_the_setting() -> None:
    limit = 0
    captures = Captures(lambda: limit)
    assert captures.begin("a", b"{}") is None and captures.get("a") is None
    limit = 2
    written: list[bytes] = []
    for name in ("a", "b", "c"):
        capture = captures.begin(name, b'{"messages": []}')
        assert capture is not None
        capture.tee(written.append)(b"data: x\n\n")
    assert captures.get("a") is None
    kept = captures.get("c")
    assert kept is not None and written == [b"data: x\n\n"] * 3
    assert kept.render() == {"request": {"messages": []}, "answer": "data: x\n\n", "is_cut": False}
    large = captures.begin("d", b"[" * (MAX_CAPTURED_BYTES + 1))
    assert large is not None
    for _ in range(3):
        large.tee(lambda data: None)(b"x" * MAX_CAPTURED_BYTES)
    shown = large.render()
    assert shown["is_cut"] and len(shown["request"]) == len(shown["answer"]) == MAX_CAPTURED_BYTES
    limit = 0
    captures.trim()
    assert captures.get("d") is None


async def test_capture_keeps_what_is_sent_through_asgi(tmp_path: Path) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    capture = Captures(lambda: 1).begin("a", b"not json")
    assert capture is not None
    tee = capture.tee_send(send)
    await tee({"type": "http.response.start", "status": 200, "headers": []})
    await tee({"type": "http.response.body", "body": b'{"a":1}'})
    assert capture.render() == {"request": "not json", "answer": {"a": 1}, "is_cut": False}
    assert len(sent) == 2
