"""More answers than the engine has slots: the gateway asks for them in turn, and the client sees one request."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import pytest

from tests.running import Service

pytestmark = [pytest.mark.model, pytest.mark.timeout(400)]
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
SAMPLING = {"n": 5, "max_tokens": 6, "seed": 7, "temperature": 1.5, "ignore_eos": True}
REQUESTS: list[tuple[str, dict[str, Any], int]] = [
    (CHAT, {"messages": [{"role": "user", "content": "Tell me a story."}]} | SAMPLING, 5),
    (TEXT, {"prompt": ["Once upon a time", "The sea was"]} | SAMPLING, 10),
]


def _text(choice: dict[str, Any]) -> str:
    part = choice.get("message") or choice.get("delta") or choice
    return str(part.get("content") or part.get("text") or "")


def test_n_above_the_slots_is_answered_in_turn(real_service: Service) -> None:
    real_service.start(options={"parallel": 2, "context_size": 1024, "threads": 1})
    with real_service.gateway() as gateway:
        for path, body, count in REQUESTS:
            whole = gateway.post(path, json=body, timeout=300)
            assert whole.status_code == 200, whole.text
            answer = whole.json()
            assert [choice["index"] for choice in answer["choices"]] == list(range(count))
            texts = {choice["index"]: _text(choice) for choice in answer["choices"]}
            assert len(set(texts.values())) == count, "each answer has a seed of its own"
            assert answer["usage"]["completion_tokens"] == 6 * count

            options = {"stream": True, "stream_options": {"include_usage": True}}
            streamed = gateway.post(path, json=body | options, timeout=300)
            assert streamed.status_code == 200, streamed.text
            events = streamed.text.strip().split("\n\n")
            assert events.count("data: [DONE]") == 1 and events[-1] == "data: [DONE]"
            chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-1]]
            assert len({chunk["id"] for chunk in chunks}) == 1
            (usage,) = [chunk["usage"] for chunk in chunks if chunk["usage"]]
            for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
                assert usage[name] == answer["usage"][name]
            pieces: dict[int, str] = defaultdict(str)
            ended: list[int] = []
            for choice in (choice for chunk in chunks for choice in chunk["choices"]):
                pieces[choice["index"]] += _text(choice)
                ended += [choice["index"]] if choice["finish_reason"] else []
            assert sorted(ended) == list(range(count))
            assert len(set(pieces.values())) == count and set(pieces) == set(range(count))


def test_shifted_seeds_give_the_answers_of_one_request(real_service: Service) -> None:
    """The engine adds an answer's number to the seed: so the third of three is the first one of that seed and two."""
    real_service.start(options={"parallel": 4, "context_size": 1024, "threads": 1})
    path, body, _ = REQUESTS[0]
    with real_service.gateway() as gateway:
        three = gateway.post(path, json=body | {"n": 3}, timeout=300).json()["choices"]
        third = gateway.post(path, json=body | {"n": 1, "seed": 9}, timeout=300).json()["choices"]
    assert _text(third[0]) == _text(three[2])
