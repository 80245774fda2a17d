"""A response completed."""

from __future__ import annotations

import pytest

from tests.unit.gateway.dialects.prepare import RESPONSES, complete


@pytest.mark.parametrize(
    ("limit", "context", "status"), [(9, 64, "completed"), (5, 64, "incomplete"), (None, 12, "incomplete")]
)
def test_an_answer_that_was_cut_short_is_incomplete(limit: int | None, context: int, status: str) -> None:
    body = {"input": "a", "max_output_tokens": limit}
    usage = {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12}
    item = {"type": "message", "status": "completed", "content": []}
    answer = {"status": "completed", "output": [item], "usage": usage}
    done = complete(RESPONSES, answer, body, context)
    assert (done["status"], done["output"][0]["status"]) == (status, status)
    assert (done["incomplete_details"] is None) is (status == "completed")
