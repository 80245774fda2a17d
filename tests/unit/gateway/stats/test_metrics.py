"""What is counted, and what is written: never the prompt."""

from __future__ import annotations

import logging

import pytest

from foundrylocal.gateway.flow.queue import FairQueue
from foundrylocal.gateway.stats.metrics import Metrics
from foundrylocal.gateway.stats.request_stats import RequestStats


def metrics() -> Metrics:
    queue = FairQueue(lambda: 1)
    queue.set_limit("some/model", 2)
    return Metrics(queue)


def test_totals_and_series_by_model(caplog: pytest.LogCaptureFixture) -> None:
    found = metrics()
    ended = RequestStats(
        "/v1/chat/completions", 0.0, model_id="some/model", is_stream=True, status=200, first_s=0.2
    )
    ended.note_timings({"prompt_n": 3, "cache_n": 2, "prompt_ms": 5, "predicted_n": 7, "predicted_ms": 70})
    ended.note_outcome("ok")
    with caplog.at_level(logging.INFO):
        found.note(ended)
    assert (found.totals.requests, found.totals.tokens_in, found.totals.tokens_out) == (1, 5, 7)
    text = found.render().decode()
    for line in (
        'foundrylocal_prompt_tokens_total{model="some/model"} 5.0',
        'foundrylocal_completion_tokens_total{model="some/model"} 7.0',
        'foundrylocal_time_to_first_token_seconds_count{model="some/model"} 1.0',
        'foundrylocal_requests_waiting{model="some/model"} 0.0',
    ):
        assert line in text
    assert "tokens_in=5 tokens_out=7 first_token=200ms tokens_per_s=100.0" in caplog.text


def test_a_request_that_came_to_nothing_counts_as_cancelled() -> None:
    found = metrics()
    found.note(RequestStats("/v1/chat/completions", 0.0))
    assert (found.totals.cancelled, found.totals.failed) == (1, 0)


def test_a_refused_request_is_counted_by_its_code_and_no_series_has_a_time_of_creation() -> None:
    found = metrics()
    found.note_refused("/v1/chat/completions", "invalid_api_key")
    found.note_refused(None, "invalid_api_key")
    text = found.render().decode()
    for endpoint in ("/v1/chat/completions", "other"):
        labels = f'endpoint="{endpoint}",model="none",outcome="invalid_api_key"'
        assert f"foundrylocal_requests_total{{{labels}}} 1.0" in text
    assert "_created" not in text


def test_one_token_has_no_rate() -> None:
    ended = RequestStats("/x", 0.0)
    ended.note_timings({"prompt_n": 3, "predicted_n": 1, "predicted_ms": 0.001})
    assert ended.tokens_per_s is None


def test_several_answers_take_the_time_of_the_longest() -> None:
    ended = RequestStats("/x", 0.0)
    for made, ms in ((8, 80.0), (1, 0.001)):
        ended.note_timings({"prompt_n": 3, "prompt_ms": ms / 10, "predicted_n": made, "predicted_ms": ms})
    assert (ended.prefill_s, ended.decode_s, ended.tokens_per_s) == (0.008, 0.08, 9 / 0.08)


def test_the_share_of_accepted_draft_tokens_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    found = metrics()
    ended = RequestStats("/v1/chat/completions", 0.0, model_id="some/model")
    for _ in range(2):  # two answers of one request
        ended.note_timings({"prompt_n": 3, "predicted_n": 20, "draft_n": 12, "draft_n_accepted": 9})
    with caplog.at_level(logging.INFO):
        found.note(ended)
        found.note(RequestStats("/v1/chat/completions", 0.0, model_id="other/model"))
    assert (found.totals.tokens_drafted, found.totals.tokens_accepted) == (24, 18)
    text = found.render().decode()
    assert 'foundrylocal_draft_tokens_total{model="some/model"} 24.0' in text
    assert 'foundrylocal_draft_tokens_accepted_total{model="some/model"} 18.0' in text
    assert 'draft_tokens_total{model="other/model"}' not in text
    assert "drafted=24 accepted=18" in caplog.text


def test_a_stream_that_was_left_counts_its_events() -> None:
    left = RequestStats("/x", 0.0, is_stream=True, events=7)
    left.note_end()
    assert left.tokens_out == 7
    told = RequestStats("/x", 0.0, is_stream=True, events=7, tokens_out=3)
    told.note_end()
    assert told.tokens_out == 3


def test_anthropic_counts_what_was_cached() -> None:
    ended = RequestStats("/v1/messages", 0.0)
    ended.note_usage({"input_tokens": 1, "cache_read_input_tokens": 30, "output_tokens": 0})
    ended.note_usage({"output_tokens": 4, "input_tokens": None})
    assert (ended.tokens_in, ended.tokens_out) == (31, 4)


def test_tools_that_were_left_out_are_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    found = metrics()
    ended = RequestStats("/v1/responses", 0.0, model_id="some/model")
    ended.unsupported_tools = ["web_search", "other", "web_search"]
    with caplog.at_level(logging.INFO):
        found.note(ended)
    assert 'foundrylocal_unsupported_tools_total{tool="web_search"} 2.0' in found.render().decode()
    assert "left_out_tools=other,web_search" in caplog.text
