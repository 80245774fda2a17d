"""Row 32 with the real engine: prompts that fit its context only one or two at a time are all answered."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.running import Service

pytestmark = [pytest.mark.model, pytest.mark.timeout(400)]
CONTEXT = 512


def test_row_32_four_long_prompts_are_answered_in_turn(real_service: Service) -> None:
    real_service.start(options={"context_size": CONTEXT})

    def ask(number: int) -> dict[str, int]:
        words = f"{number} " + "seven lamps stand on the shore and " * 25
        body = {"messages": [{"role": "user", "content": words}], "max_tokens": 40, "ignore_eos": True}
        with real_service.gateway() as gateway:
            answer = gateway.post("/v1/chat/completions", json=body, timeout=300)
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["usage"])

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(4)))
    assert [usage["completion_tokens"] for usage in answers] == [40] * 4
    assert sum(usage["total_tokens"] for usage in answers) > CONTEXT
