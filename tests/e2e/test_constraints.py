"""Grammars and schemas with the real engine: kept, or an error; and never at the cost of another client."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.e2e.test_conformance import CHAT, HELLO, post
from tests.running import Service

pytestmark = pytest.mark.model
# The engine's own grammar code does not come back from the first three.
HARD = [
    'root ::= "a" root "b" | "a" root "c" | ""',
    'root ::= x+\nx ::= "a" x "b" | "a" x "c" | "d"',
    'root ::= s\ns ::= s s | s s s | [a-z] | ""',
    'root ::= expr\nexpr ::= term "+" expr | term\nterm ::= [0-9]+ | "(" expr ")"',
    "root ::= (.+ .+ .+)+",
]


@pytest.fixture
def gateway(real_service: Service) -> Iterator[httpx.Client]:
    real_service.start()
    with real_service.gateway() as client:
        client.timeout = httpx.Timeout(120)
        yield client


@pytest.mark.timeout(300)
@pytest.mark.parametrize("grammar", HARD)
def test_row_31_a_hard_grammar_is_kept_or_refused_and_others_are_answered(
    gateway: httpx.Client, grammar: str
) -> None:
    body = HELLO | {"grammar": grammar, "max_tokens": 12}
    with ThreadPoolExecutor(2) as pool:
        hard = pool.submit(gateway.post, CHAT, json=body)
        other = pool.submit(gateway.post, CHAT, json=HELLO)
        assert other.result(60).status_code == 200
        answer = hard.result(60)
    if answer.status_code == 200:
        text = answer.json()["choices"][0]["message"]["content"]
        assert re.fullmatch(r"[a-z]*|[0-9+()]*", text)
    else:
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "grammar")


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "code": {"type": "string", "pattern": r"^\d{3}-[A-F]{2}$"},
        "share": {"type": "integer", "minimum": 2, "maximum": 7},
    },
    "required": ["code", "share"],
    "additionalProperties": False,
}


def check(text: str) -> None:
    found = json.loads(text)
    assert found.keys() == {"code", "share"}
    assert re.fullmatch(r"[0-9]{3}-[A-F]{2}", found["code"])
    assert 2 <= found["share"] <= 7


@pytest.mark.timeout(300)
def test_a_schema_is_kept_in_every_dialect(gateway: httpx.Client) -> None:
    turn: dict[str, Any] = {"messages": HELLO["messages"], "max_tokens": 60}
    named = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    check(post(gateway, CHAT, turn | {"response_format": named})["choices"][0]["message"]["content"])
    check(
        post(gateway, "/v1/completions", {"prompt": "JSON:", "json_schema": SCHEMA, "max_tokens": 60})[
            "choices"
        ][0]["text"]
    )
    form = {"type": "json_schema", "name": "x", "schema": SCHEMA}
    response = post(
        gateway, "/v1/responses", {"input": "Hi", "text": {"format": form}, "max_output_tokens": 60}
    )
    check(response["output"][0]["content"][0]["text"])
    message = post(gateway, "/v1/messages", turn | {"output_config": {"format": form}})
    check(message["content"][0]["text"])
