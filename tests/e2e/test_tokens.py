"""Tokens of the real engine: their names beside stop strings, seeds, and a character that a limit cuts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.test_conformance import CHAT, post, stream
from tests.running import Service

pytestmark = pytest.mark.model
TEXT = "/v1/completions"
HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}], "temperature": 0}
STOPPED = {"grammar": 'root ::= "one two three four"', "stop": ["thr"], "max_tokens": 16}


@pytest.fixture
def gateway(real_service: Service) -> Iterator[httpx.Client]:
    real_service.start()
    with real_service.gateway() as client:
        yield client


def test_logprobs_name_the_tokens_beside_a_stop_string(gateway: httpx.Client) -> None:
    body = HELLO | STOPPED | {"logprobs": True}
    whole = post(gateway, CHAT, body)["choices"][0]
    names = [token["token"] for token in whole["logprobs"]["content"]]
    text = whole["message"]["content"]
    assert text.rstrip() == "one two" == "".join(names).rstrip() and "" not in names
    choices = [choice for chunk in stream(gateway, CHAT, body) for choice in chunk["choices"]]
    streamed = [token for choice in choices for token in (choice["logprobs"] or {"content": ()})["content"]]
    assert [token["token"] for token in streamed] == names
    assert "".join(choice["delta"].get("content") or "" for choice in choices) == text
    body = {"prompt": "Hi", "temperature": 0, "logprobs": 0} | STOPPED
    whole = post(gateway, TEXT, body)["choices"][0]
    assert whole["text"].rstrip() == "one two" == "".join(whole["logprobs"]["tokens"]).rstrip()
    choices = [choice for chunk in stream(gateway, TEXT, body) for choice in chunk["choices"]]
    tokens = [token for choice in choices for token in (choice["logprobs"] or {"tokens": ()})["tokens"]]
    assert "".join(tokens).rstrip() == "one two" and "" not in tokens


def test_every_seed_is_deterministic(gateway: httpx.Client) -> None:
    for seed in (-1, 0, 2**32 - 1, 2**64):
        body = HELLO | {"temperature": 1.5, "seed": seed, "max_tokens": 6}
        first, second = (post(gateway, CHAT, body)["choices"][0]["message"]["content"] for _ in range(2))
        assert first == second


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_a_cut_character_is_in_neither_form(gateway: httpx.Client, limit: int) -> None:
    fields = {"grammar": 'root ::= "a\U0001f917\U0001f917"', "max_tokens": limit, "temperature": 0}
    whole = post(gateway, CHAT, HELLO | fields)["choices"][0]["message"]["content"]
    deltas = [
        choice["delta"] for chunk in stream(gateway, CHAT, HELLO | fields) for choice in chunk["choices"]
    ]
    assert whole == "".join(delta.get("content") or "" for delta in deltas)
    whole = post(gateway, TEXT, {"prompt": "Hi"} | fields)["choices"][0]["text"]
    chunks = stream(gateway, TEXT, {"prompt": "Hi"} | fields)
    assert whole == "".join(choice["text"] for chunk in chunks for choice in chunk["choices"])
    assert "\N{REPLACEMENT CHARACTER}" not in whole
