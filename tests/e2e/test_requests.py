"""The record of requests and an ended request with the real engine: its figures, and its slot."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.process.gateway.raw import CHAT, busy_slots
from tests.running import Service, eventually

pytestmark = pytest.mark.model
# The same answer each time: it must not happen to end after a word.
COLD: dict[str, Any] = {"temperature": 0}
LONG: dict[str, Any] = COLD | {
    "messages": [{"role": "user", "content": "Count from one to a thousand."}],
    "max_tokens": 2000,
}


def entry_of(service: Service, answer: Any) -> dict[str, Any]:
    return dict(service.get(f"/requests/{answer.headers['x-request-id']}").json())


def test_figures_of_the_engine_are_in_the_record(real_service: Service) -> None:
    real_service.start()
    body = {"messages": [{"role": "user", "content": "Say a word about rivers. " * 20}], "max_tokens": 12}
    body["temperature"] = 0
    with real_service.gateway() as gateway:
        first, second = (gateway.post(CHAT, json=body) for _ in range(2))
        streamed = gateway.post(CHAT, json=body | {"stream": True})
    usage = first.json()["usage"]
    entry = entry_of(real_service, first)
    assert (entry["tokens_in"], entry["tokens_out"]) == (usage["prompt_tokens"], usage["completion_tokens"])
    assert entry["prefill_ms"] > 0 and entry["tokens_per_second"] > 0 and entry["tokens_cached"] == 0
    for again in (second, streamed):
        found = entry_of(real_service, again)
        assert found["tokens_in"] == entry["tokens_in"] and found["tokens_cached"] > 0
    assert entry_of(real_service, streamed)["first_token_ms"] > 0
    assert {entry_of(real_service, one)["stop_reason"] for one in (first, second, streamed)} == {"length"}


@pytest.mark.parametrize("is_stream", [False, True])
def test_why_an_answer_ended_is_in_the_record_of_each_dialect(real_service: Service, is_stream: bool) -> None:
    real_service.start()
    model = real_service.status()["current_model"]
    messages = [{"role": "user", "content": "Count."}]
    with real_service.gateway() as gateway:
        for path, body in (
            (CHAT, COLD | {"messages": messages, "max_tokens": 4, "stream_options": {"include_usage": True}}),
            ("/v1/completions", COLD | {"prompt": "One,", "max_tokens": 4}),
            ("/v1/messages", COLD | {"messages": messages, "max_tokens": 4}),
            ("/v1/responses", COLD | {"input": "Count.", "max_output_tokens": 4}),
            ("/api/chat", {"model": model, "messages": messages, "options": COLD | {"num_predict": 4}}),
            ("/api/generate", {"model": model, "prompt": "Count.", "options": COLD | {"num_predict": 4}}),
        ):
            if not is_stream:
                body.pop("stream_options", None)
            answer = gateway.post(path, json=body | {"stream": is_stream})
            assert answer.status_code == 200, (path, answer.text)
            entry = entry_of(real_service, answer)
            assert (entry["stop_reason"], entry["tokens_out"]) == ("length", 4), (path, entry)


@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1/responses", "/api/chat"])
def test_an_ended_stream_frees_its_slot_within_a_second_and_tells_its_client(
    real_service: Service, path: str
) -> None:
    real_service.start()
    body: dict[str, Any] = dict(LONG) | {"stream": True}
    if path == "/v1/responses":
        body = {"input": LONG["messages"], "temperature": 0, "stream": True}
    if path == "/api/chat":
        body |= {"options": {"temperature": 0, "num_predict": 2000}}
        body["model"] = real_service.status()["current_model"]
    with real_service.gateway() as gateway, gateway.stream("POST", path, json=body) as answer:
        lines = answer.iter_lines()
        assert next(lines)
        eventually("it runs", lambda: busy_slots(real_service) == 1)
        assert real_service.http.delete(f"/requests/{answer.headers['x-request-id']}").status_code == 200
        eventually("the slot is free", lambda: busy_slots(real_service) == 0, 1.0)
        rest = "\n".join(lines)
    assert "The request was ended" in rest and "[DONE]" not in rest
    assert entry_of(real_service, answer)["status"] == "cancelled"
    assert json.dumps(LONG["messages"][0]["content"]) not in real_service.get("/requests").text
