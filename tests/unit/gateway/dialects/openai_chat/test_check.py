"""What a chat request may hold, and what the engine gets of it."""

from __future__ import annotations

from tests.unit.gateway.dialects.prepare import CHAT, HELLO, for_engine, parse


def test_a_developer_is_a_system() -> None:
    sent = for_engine(CHAT, {"messages": [{"role": "developer", "content": "a"}]})
    assert sent["messages"] == [{"role": "system", "content": "a"}]


def test_logprobs_without_alternatives_ask_for_one() -> None:
    assert for_engine(CHAT, HELLO | {"logprobs": True})["top_logprobs"] == 1


def test_an_image_in_the_request_is_seen() -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    assert parse(CHAT, {"messages": [{"role": "user", "content": [part]}]}).has_images
    block = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    turns = {"max_tokens": 1, "messages": [{"role": "user", "content": [block]}]}
    assert parse("/v1/messages", turns).has_images


def test_tool_calls_and_their_results_pass() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": "5"},
    ]
    sent = for_engine(CHAT, {"messages": messages})
    assert sent["messages"][1] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [call | {"type": "function"}],
    }


def test_what_changes_nothing_is_left_out() -> None:
    harmless = {"modalities": ["text"], "metadata": {"a": "b"}, "service_tier": "auto", "verbosity": "low"}
    more = {"prompt_cache_key": "a", "safety_identifier": "b", "store": False, "functions": None}
    assert for_engine(CHAT, HELLO | harmless | more) == HELLO


def test_a_refusal_is_what_was_said() -> None:
    part = {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}
    messages = [{"role": "assistant", "content": None, "refusal": "no"}, part, *HELLO["messages"]]
    sent = for_engine(CHAT, {"messages": messages})["messages"]
    assert sent[:-1] == [
        {"role": "assistant", "content": "no"},
        {"role": "assistant", "content": [{"type": "text", "text": "no"}]},
    ]
