"""Numbers of requests: each seed is deterministic, 1.0 is 1, and a model's own length of vectors may be named."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundrylocal.errors import InvalidRequest
from foundrylocal.gateway.dialects.body import MAX_ANSWERS_PER_PROMPT
from foundrylocal.gateway.stats.request_stats import RequestStats
from tests.unit.gateway.dialects.all_routes import ROUTES

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}
RANDOM = 2**32 - 1  # what the engine reads as "choose one"


def sent(path: str, body: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads(ROUTES[path].dialect.prepare(json.dumps(body).encode())[1].body))


@given(st.integers(-(2**63), 2**64))
def test_no_seed_reaches_the_engine_as_random(seed: int) -> None:
    for path, body in ((CHAT, HELLO), ("/v1/completions", {"prompt": "a"}), (RESPONSES, {"input": "a"})):
        # The engine adds an answer's number to it.
        assert 0 <= sent(path, body | {"seed": seed})["seed"] < RANDOM - MAX_ANSWERS_PER_PROMPT


@pytest.mark.parametrize("seed", [0, 1, 5, 2**31, 2**32 - 130])
def test_a_seed_that_the_engine_knows_stays(seed: int) -> None:
    assert sent(CHAT, HELLO | {"seed": seed})["seed"] == seed


@pytest.mark.parametrize("seed", [-1, 2**32 - 1, 2**32, 2**63, 2**64])
def test_a_seed_at_a_bound_is_a_number_like_others(seed: int) -> None:
    assert sent(CHAT, HELLO | {"seed": seed})["seed"] < RANDOM


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (CHAT, HELLO, "max_tokens"),
        (CHAT, HELLO, "n"),
        (CHAT, HELLO, "top_k"),
        (CHAT, HELLO, "seed"),
        (RESPONSES, {"input": "a"}, "max_output_tokens"),
        ("/v1/messages", HELLO, "max_tokens"),
        ("/v1/completions", {"prompt": "a"}, "max_tokens"),
    ],
)
def test_a_whole_number_may_be_written_as_a_fraction(path: str, body: dict[str, Any], field: str) -> None:
    assert sent(path, body | {field: 1.0})[field.replace("max_output_tokens", "max_tokens")] == 1
    for number in (1.5, 1e300):
        with pytest.raises(InvalidRequest) as caught:
            sent(path, body | {field: number})
        assert caught.value.param == field


def test_the_rest_of_such_a_request_stays() -> None:
    body = HELLO | {"max_tokens": 1.0, "temperature": 0.5, "stop": ["1.0"], "logit_bias": {"5": 1.5}}
    assert sent(CHAT, body) == body | {"max_tokens": 1}


def _embeddings(body: dict[str, Any], vector: Any) -> Any:
    dialect = ROUTES["/v1/embeddings"].dialect
    parsed, engine = dialect.prepare(json.dumps({"input": "a"} | body).encode())
    assert "dimensions" not in json.loads(engine.body)
    return dialect.whole(
        json.dumps({"data": [{"embedding": vector}]}).encode(), parsed, RequestStats("/x", 0.0)
    )


VECTOR = [0.5] * 7
PACKED = base64.b64encode(struct.pack("<7f", *VECTOR)).decode()


@pytest.mark.parametrize("vector", [VECTOR, PACKED])
def test_the_length_of_a_models_vectors_may_be_named(vector: Any) -> None:
    assert _embeddings({"dimensions": 7}, vector)["data"][0]["embedding"] == vector
    for wrong in (6, 8):
        with pytest.raises(InvalidRequest) as caught:
            _embeddings({"dimensions": wrong}, vector)
        assert caught.value.param == "dimensions" and "7" in caught.value.message
