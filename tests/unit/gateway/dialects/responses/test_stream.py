"""The events of /v1/responses."""

from __future__ import annotations

from tests.unit.gateway.dialects.prepare import RESPONSES, read, rewriter


def test_events_of_responses_are_numbered() -> None:
    rewrite = rewriter(RESPONSES, {"input": "a", "stream": True})
    created = b'"response.created","response":{"id":"r","status":"in_progress"}'
    delta = b'"response.output_text.delta","item_id":"m","delta":"a"'
    events = [b'event: x\ndata: {"type":%b}\n\n' % body for body in (created, delta, delta)]
    bodies = [read(rewrite(event)) for event in events]
    assert [body["sequence_number"] for body in bodies] == [0, 1, 2]
    assert bodies[0]["response"]["model"] == "m"
    assert bodies[1]["content_index"] == 0
