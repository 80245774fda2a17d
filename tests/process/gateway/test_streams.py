"""A stream where the client wants one and the engine sends one; a whole answer where it does not."""

from __future__ import annotations

from tests.running import Service


def test_infill_streams_when_asked(service: Service) -> None:
    service.start()
    ask = {"input_prefix": "a", "input_suffix": "b"}
    with service.gateway() as gateway:
        with gateway.stream("POST", "/infill", json=ask | {"stream": True}) as answer:
            assert answer.headers["content-type"] == "text/event-stream"
            lines = [line for line in answer.iter_lines() if line]
        assert len(lines) > 1 and all(line.startswith("data: ") for line in lines)
        assert gateway.post("/infill", json=ask).json()["choices"]


def test_a_count_of_tokens_is_whole_even_when_a_stream_is_asked_for(service: Service) -> None:
    service.start()
    with service.gateway() as gateway:
        answer = gateway.post("/v1/responses/input_tokens", json={"input": "a", "stream": True})
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.json()["input_tokens"] > 0
