"""Row 32: requests whose sum overruns the shared context are answered in turn, and none is touched by another."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.process.gateway.raw import CHAT
from tests.running import FAKE_WORKER, Service, running, store_tiny_model

CONTEXT = 2048  # the tiny model's
WORDS = "word " * 900
ANSWER_TOKENS = 12


def send_at_once(service: Service, bodies: list[tuple[str, dict[str, Any]]]) -> list[httpx.Response]:
    def send(request: tuple[str, dict[str, Any]]) -> httpx.Response:
        with service.gateway() as gateway:
            return gateway.post(request[0], json=request[1])

    with ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(send, bodies))


@pytest.mark.parametrize("limit", [{"max_tokens": ANSWER_TOKENS}, {}])
def test_row_32_prompts_that_fit_only_one_by_one_are_all_answered(home: Path, limit: dict[str, int]) -> None:
    flags = f"--shared-context --rate 8 --tokens {ANSWER_TOKENS}"
    store_tiny_model(home, worker_flags=flags)
    chat = (CHAT, {"messages": [{"role": "user", "content": WORDS}], **limit})
    text = ("/v1/completions", {"prompt": WORDS, **limit})
    short = (CHAT, {"messages": [{"role": "user", "content": "Hello"}], **limit})
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        answers = send_at_once(service, [chat, text, chat, text, short, chat, short, text])
        assert [answer.status_code for answer in answers] == [200] * 8
        assert {answer.json()["usage"]["completion_tokens"] for answer in answers} == {ANSWER_TOKENS}


def test_row_32_one_that_grows_past_its_part_ends_alone_with_its_reason(home: Path) -> None:
    store_tiny_model(home, worker_flags="--shared-context --tokens 5000")
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        bodies = [(CHAT, {"messages": [{"role": "user", "content": f"Count {i}"}]}) for i in range(6)]
        for answer in send_at_once(service, bodies):
            assert answer.status_code == 200
            assert answer.json()["choices"][0]["finish_reason"] == "length"
            assert answer.json()["usage"]["completion_tokens"] >= CONTEXT // 4 // 2


def test_row_32_prompts_that_are_too_long_together_name_the_context(home: Path) -> None:
    store_tiny_model(home, worker_flags="--shared-context")
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        with service.gateway() as gateway:
            for body in ({"prompt": ["word " * 600] * 4}, {"prompt": "word " * 2048}):
                answer = gateway.post("/v1/completions", json=body)
                assert (answer.status_code, answer.json()["error"]["code"]) == (
                    400,
                    "context_length_exceeded",
                )
