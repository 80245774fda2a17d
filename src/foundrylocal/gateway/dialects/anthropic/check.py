"""What the types of Anthropic's messages do not say."""

from __future__ import annotations

from foundrylocal.gateway.dialects.anthropic.shapes import Block, CountBody, RedactedThinkingBlock, Turn
from foundrylocal.gateway.dialects.refusals import refuse
from foundrylocal.gateway.limits.json_schema import check_schema


def check_turns(body: CountBody) -> None:
    """Check tools and conversation. Raises InvalidRequest that names the field."""
    choice = body.tool_choice
    if choice is not None and choice.type == "tool":
        names = {tool.name for tool in body.tools or ()}
        if choice.name not in names:
            refuse("tool_choice.name", "names a tool that is not in 'tools'")
    for number, tool in enumerate(body.tools or ()):
        check_schema(tool.input_schema, f"tools[{number}].input_schema")
    for number, turn in enumerate(body.messages):
        _drop_redacted(turn, f"messages[{number}].content")


def _drop_redacted(turn: Turn, place: str) -> None:
    """Drop redacted thoughts; an assistant's turn may be empty without them, nobody else's may."""
    if isinstance(turn.content, list):
        kept: list[Block] = [block for block in turn.content if not isinstance(block, RedactedThinkingBlock)]
        if not kept and turn.role != "assistant":
            refuse(place, "must not be empty")
        turn.content = kept or ""
