"""A Responses request in the engine's form."""

from __future__ import annotations

from typing import Any

from tests.unit.gateway.dialects.prepare import for_engine


def test_a_text_format_of_responses_becomes_a_grammar() -> None:
    wanted = {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}}
    sent = for_engine("/v1/responses", {"input": "a", "text": wanted})
    assert "response_format" not in sent
    assert sent["grammar"].startswith("%llguidance {}\n") and '"type":"object"' in sent["grammar"]


def test_items_of_responses_reach_the_engine_in_its_forms() -> None:
    items = [
        {"role": "system", "content": "Be brief."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
        {"role": "assistant", "content": "Yes"},
        {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "b", "annotations": [], "logprobs": []},
                {"type": "refusal", "refusal": "no"},
            ],
        },
        {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "5"}]},
    ]

    def said(*texts: str) -> dict[str, Any]:
        content = [{"type": "output_text", "text": text} for text in texts]
        return {"type": "message", "status": "completed", "role": "assistant", "content": content}

    assert for_engine("/v1/responses", {"input": items})["input"] == [
        {"role": "system", "content": [{"type": "input_text", "text": "Be brief."}]},
        {"role": "user", "content": [{"type": "input_text", "text": "a"}]},
        said("Yes"),
        said("b", "no"),
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "5"},
    ]


def test_a_function_of_responses_may_be_without_parameters() -> None:
    for tool in ({"parameters": None, "strict": None}, {}):
        sent = for_engine(
            "/v1/responses", {"input": "a", "tools": [{"type": "function", "name": "f", **tool}]}
        )
        assert sent["tools"][0]["parameters"] == {"type": "object"}
