"""Responses as chats, and chats as responses; the published schemas are checked elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from foundrylocal.errors import InvalidRequest
from foundrylocal.gateway.dialects.responses.compaction import seal_summary
from tests.unit.gateway.dialects.all_routes import RESPONSES, ROUTES
from tests.unit.gateway.dialects.by_chat import delta, ending, messages_to_engine, stream, to_engine, whole

Json = dict[str, Any]
PATH = "/v1/responses"
TOOL: Json = {"type": "function", "name": "look", "parameters": {"type": "object"}}


def said(role: str, content: Any, **fields: Any) -> Json:
    return {"role": role, "content": content, **fields}


def test_what_the_model_said_in_one_turn_is_one_message() -> None:
    items = [
        said("developer", "Be brief."),
        said("system", [{"type": "input_text", "text": "Be kind."}]),
        said("user", [{"type": "input_text", "text": "a"}]),
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]},
        said(
            "assistant",
            [{"type": "output_text", "text": "b"}, {"type": "refusal", "refusal": "no"}],
            phase="commentary",
        ),
        {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "d", "name": "patch", "input": "x"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "5"}]},
        {"type": "custom_tool_call_output", "call_id": "d", "output": "done"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "x"},
        said("developer", "Go on."),
    ]
    calls = [
        {"function": {"name": "f", "arguments": "{}"}, "id": "c", "type": "function"},
        {"function": {"name": "patch", "arguments": '{"input":"x"}'}, "id": "d", "type": "function"},
    ]
    assert messages_to_engine(PATH, {"input": items, "instructions": "Hello."}) == [
        said("system", "Hello.\n\nBe brief.\n\nBe kind."),
        said("user", "a"),
        said("assistant", "bno", tool_calls=calls, reasoning_content="Hm."),
        {"role": "tool", "content": "5", "tool_call_id": "c"},
        {"role": "tool", "content": "done", "tool_call_id": "d"},
        said("user", "Go on."),
    ]


def test_hosted_tools_beside_functions_are_left_out() -> None:
    tools = [{"type": "web_search"}, TOOL, {"type": "namespace", "name": "n", "tools": []}]
    assert [
        tool["function"]["name"] for tool in to_engine(PATH, {"input": "a", "tools": tools})["tools"]
    ] == ["look"]


def test_a_function_may_be_without_parameters() -> None:
    for tool in ({"parameters": None, "strict": None}, {}):
        asked = {"input": "a", "tools": [{"type": "function", "name": "f", **tool}]}
        assert to_engine(PATH, asked)["tools"][0]["function"]["parameters"] == {"type": "object"}


def test_only_the_allowed_tools_may_be_called() -> None:
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "look"}]}
    asked = {"input": "a", "tools": [TOOL, TOOL | {"name": "other"}], "tool_choice": choice}
    sent = to_engine(PATH, asked)
    assert "look" in sent["grammar"] and "other" not in sent["grammar"]


def test_a_form_of_the_answer_is_the_chats() -> None:
    wanted = {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}}
    assert "grammar" in to_engine(PATH, {"input": "a", "text": wanted})


def test_the_numbers_are_those_that_were_used() -> None:
    asked = {"input": "a", "temperature": 0.5}
    assert whole(PATH, asked, {"content": "b"})["temperature"] == 0.5
    used = {"generation_settings/temperature": 0.30000001, "generation_settings/top_p": 0.9}
    answer = whole(PATH, {"input": "a"}, {"content": "b"}, **used)
    assert (answer["temperature"], answer["top_p"], answer["presence_penalty"]) == (0.3, 0.9, 0.0)
    *_, last = stream(PATH, {"input": "a"}, delta(content="b"), *ending(temperature=0.3))
    assert last["response"]["temperature"] == 0.3


@pytest.mark.parametrize(("reason", "status"), [("stop", "completed"), ("length", "incomplete")])
def test_an_answer_that_was_cut_short_is_incomplete(reason: str, status: str) -> None:
    answers = [
        whole(PATH, {"input": "a"}, {"content": "b"}, reason),
        stream(PATH, {"input": "a"}, delta(content="b"), *ending(reason))[-1]["response"],
    ]
    for answer in answers:
        assert (answer["status"], answer["output"][-1]["status"]) == (status, status)
        assert (answer["incomplete_details"] is None) is (status == "completed")


def test_the_phase_says_whether_a_text_is_the_answer() -> None:
    call = {"index": 0, "id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    for calls, phase in (([], "final_answer"), ([call], "commentary")):
        answer = whole(PATH, {"input": "a"}, {"content": "b", "tool_calls": calls})
        assert answer["output"][0]["phase"] == phase
        chunks = [delta(content="b"), *([delta(tool_calls=calls)] if calls else [])]
        *_, last = stream(PATH, {"input": "a"}, *chunks, *ending())
        assert last["response"]["output"][0]["phase"] == phase


def test_the_events_are_numbered_and_every_item_ends() -> None:
    call = {"index": 0, "id": "1", "function": {"name": "look"}}
    chunks = [delta(reasoning_content="Hm."), delta(content="a"), delta(tool_calls=[call])]
    chunks += [delta(tool_calls=[{"index": 0, "function": {"arguments": "{}"}}])]
    events = stream(PATH, {"input": "a"}, *chunks, *ending("tool_calls"))
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    kinds = [event["type"] for event in events]
    assert kinds.count("response.output_item.added") == kinds.count("response.output_item.done") == 3
    (done,) = [event for event in events if event["type"] == "response.function_call_arguments.done"]
    assert done["arguments"] == "{}"
    assert [item["type"] for item in events[-1]["response"]["output"]] == [
        "reasoning",
        "message",
        "function_call",
    ]


# --- responses that are kept ----------------------------------------------------------------------------


def test_a_conversation_goes_on_from_a_kept_response() -> None:
    first = whole(PATH, {"input": "a"}, {"content": "b"})
    kept = RESPONSES.get(first["id"])
    assert (kept.response, [item["role"] for item in kept.items]) == (first, ["user"])
    asked = {"input": "c", "previous_response_id": first["id"]}
    wanted = [said("user", "a"), said("assistant", "b"), said("user", "c")]
    assert messages_to_engine(PATH, asked) == wanted
    assert messages_to_engine("/v1/responses/input_tokens", asked) == wanted
    *before, last = messages_to_engine("/v1/responses/compact", asked)
    assert before == wanted[:2] and last["content"].startswith("c\n\n")
    RESPONSES.remove(first["id"])
    with pytest.raises(InvalidRequest) as caught:
        to_engine(PATH, asked)
    assert (caught.value.code, caught.value.param) == ("previous_response_not_found", "previous_response_id")


def test_a_streamed_response_is_kept_too() -> None:
    *_, last = stream(PATH, {"input": "a"}, delta(content="b"), *ending())
    assert RESPONSES.get(last["response"]["id"]).response == last["response"]
    RESPONSES.remove(last["response"]["id"])


def test_a_response_that_is_not_to_be_kept_is_not() -> None:
    answer = whole(PATH, {"input": "a", "store": False}, {"content": "b"})
    assert answer["store"] is False
    with pytest.raises(Exception, match="not found"):
        RESPONSES.get(answer["id"])


def test_a_summary_stands_for_the_conversation() -> None:
    answer = whole("/v1/responses/compact", {"input": "a"}, {"content": "They said a."})
    (item,) = answer["output"]
    assert item["encrypted_content"] == seal_summary("They said a.")
    (sent,) = messages_to_engine(PATH, {"input": [item, said("user", "And now?")]})
    assert sent["content"].endswith("They said a.\n\nAnd now?")


def test_compact_takes_no_more_than_it_needs() -> None:
    sent = to_engine("/v1/responses/compact", {"input": "a"})
    assert sent["messages"][0]["content"].startswith("a\n\n") and sent["max_tokens"] == 2048
    assert ROUTES["/v1/responses/compact"].takes_slot
