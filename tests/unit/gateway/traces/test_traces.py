"""What spans say, when there are any, and that nothing is imported without a collector."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from typing import Any

import pytest

from foundrylocal.errors import WorkerCrashed
from foundrylocal.gateway.stats.request_stats import RequestStats
from foundrylocal.gateway.traces import attributes, tracing

CHAT = "/v1/chat/completions"


def ended(**figures: Any) -> RequestStats:
    stats = RequestStats(CHAT, 0.0, key="alice", model_id="org/m", model_name="m", status=200, **figures)
    stats.note_timings({"prompt_n": 3, "cache_n": 2, "prompt_ms": 50, "predicted_n": 7, "predicted_ms": 700})
    stats.note_stop_reason("stop")
    stats.note_outcome("ok")
    return stats


def test_a_span_has_the_words_of_the_conventions() -> None:
    stats = ended(is_stream=True, first_s=0.3)
    assert attributes.span_name(stats) == "chat m"
    assert attributes.first_attributes(CHAT) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "foundrylocal",
        "http.request.method": "POST",
        "http.route": CHAT,
    }
    assert attributes.last_attributes(stats) == {
        "gen_ai.request.model": "m",
        "gen_ai.response.model": "org/m",
        "gen_ai.request.stream": True,
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 2,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.response.time_to_first_chunk": 0.3,
        "http.response.status_code": 200,
        "gen_ai.response.finish_reasons": ["stop"],
        "foundrylocal.request.id": stats.id,
        "foundrylocal.request.outcome": "ok",
        "foundrylocal.key.name": "alice",
    }


def test_a_failure_has_its_type_and_a_client_that_left_has_none() -> None:
    failed, left = RequestStats(CHAT, 0.0), RequestStats(CHAT, 0.0)
    failed.note_failure(WorkerCrashed("x"))
    assert attributes.last_attributes(failed)["error.type"] == "worker_crashed"
    assert "error.type" not in attributes.last_attributes(left)
    assert attributes.span_name(left) == "chat"


@pytest.mark.parametrize(
    ("endpoint", "operation"),
    [
        ("/v1/messages", "chat"),
        ("/v1/embeddings", "embeddings"),
        ("/v1/completions", "text_completion"),
        ("/v1/messages/count_tokens", "messages_count_tokens"),
        ("/tokenize", "tokenize"),
    ],
)
def test_operations(endpoint: str, operation: str) -> None:
    assert attributes.operation_of(endpoint) == operation


def test_the_parts_of_a_request_lie_within_it_and_in_order() -> None:
    stats = ended(is_stream=True, first_s=0.3)
    stats.queue_s, stats.load_s, stats.total_s = 0.1, 0.12, 1.05
    parts = attributes.phases(stats)
    assert [name for name, _, _ in parts] == ["queue", "load", "prefill", "decode"]
    assert all(0 <= began <= end <= stats.total_s for _, began, end in parts)
    assert attributes.phases(RequestStats(CHAT, 0.0)) == []


@pytest.mark.parametrize(
    ("fields", "messages"),
    [
        (
            {"messages": [{"role": "user", "content": "Hi"}]},
            [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}],
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}, {"text": "a"}]}]},
            [{"role": "user", "parts": [{"type": "image_url"}, {"type": "text", "content": "a"}]}],
        ),
        ({"prompt": "Hi"}, [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]),
        (
            {"input": [1, 2]},
            [{"role": "user", "parts": [{"type": "text", "content": text}]} for text in "12"],
        ),
    ],
)
def test_messages_for_those_who_ask(fields: Any, messages: Any) -> None:
    assert json.loads(attributes.input_messages(json.dumps(fields).encode()) or "") == messages


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"5", b"[" * 60_000, b'{"prompt": "' + b"a" * 70_000 + b'"}']
)
def test_what_holds_no_messages_or_very_long_ones_has_none(body: bytes) -> None:
    assert attributes.input_messages(body) is None


@pytest.mark.parametrize(
    ("environment", "is_on"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "TRUE"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_the_environment_decides(environment: dict[str, str], is_on: bool) -> None:
    assert tracing.is_configured(environment) is is_on


def test_without_the_extra_the_log_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "foundrylocal.gateway.traces.otel", None)
    with caplog.at_level(logging.WARNING):
        assert tracing.open_tracing(lambda: False) is None
    assert "pip install 'foundrylocal[otel]'" in caplog.text


def test_nothing_of_the_sdk_is_imported_without_a_collector() -> None:
    program = (
        "import sys, foundrylocal.runtime\n"
        "from foundrylocal.gateway.traces.tracing import open_tracing\n"
        "assert open_tracing(lambda: False) is None\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr
