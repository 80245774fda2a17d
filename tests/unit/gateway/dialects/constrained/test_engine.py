"""How tools reach the engine in every dialect."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.gateway.dialects.prepare import CHAT, HELLO, for_engine

_CHOICES: list[tuple[str, dict[str, Any]]] = [
    (CHAT, {"tool_choice": {"type": "function", "function": {"name": "g"}}}),
    (
        CHAT,
        {
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "g"}}],
                },
            }
        },
    ),
    ("/v1/responses", {"tool_choice": {"type": "function", "name": "g"}}),
    (
        "/v1/responses",
        {
            "tool_choice": {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "g"}],
            }
        },
    ),
    ("/v1/messages", {"tool_choice": {"type": "tool", "name": "g"}}),
]


def _two_tools(path: str) -> dict[str, Any]:
    if path == CHAT:
        return HELLO | {"tools": [{"type": "function", "function": {"name": name}} for name in ("f", "g")]}
    if path == "/v1/responses":
        return {"input": "a", "tools": [{"type": "function", "name": name} for name in ("f", "g")]}
    return HELLO | {"max_tokens": 1, "tools": [{"name": name, "input_schema": {}} for name in ("f", "g")]}


@pytest.mark.parametrize(("path", "choice"), _CHOICES)
def test_a_chosen_tool_is_the_only_one_that_the_grammar_has(path: str, choice: dict[str, Any]) -> None:
    sent = for_engine(path, _two_tools(path) | choice)
    shown = [tool["function"]["name"] for tool in sent["chat_template_kwargs"]["tools"]]
    assert shown == ["f", "g"]
    assert "tools" not in sent and "tool_choice" not in sent
    assert '"g' in sent["grammar"].replace("\\", "") and '"f"' not in sent["grammar"].replace("\\", "")


@pytest.mark.parametrize("path", [CHAT, "/v1/responses", "/v1/messages"])
def test_tools_that_may_be_called_reach_the_engine_as_outlines_and_the_prompt_whole(path: str) -> None:
    whole = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^x+$", "minLength": 1}}}
    outline = {"type": "object", "properties": {"a": {"type": "string"}}}
    body = _two_tools(path)
    for tool in body["tools"]:
        tool.get("function", tool)["input_schema" if path == "/v1/messages" else "parameters"] = whole
    sent = for_engine(path, body)
    assert "grammar" not in sent
    shown = [tool["function"]["parameters"] for tool in sent["chat_template_kwargs"]["tools"]]
    assert shown == [whole, whole]
    tools = [tool.get("function", tool) for tool in sent["tools"]]
    assert [tool.get("parameters", tool.get("input_schema")) for tool in tools] == [outline, outline]
