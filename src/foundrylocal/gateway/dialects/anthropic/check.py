"""What the types of Anthropic's messages do not say."""

from __future__ import annotations

from foundrylocal.gateway.dialects.anthropic.documents import read_documents
from foundrylocal.gateway.dialects.anthropic.shapes import (
    Block,
    CountBody,
    RedactedThinkingBlock,
    TextBlock,
    ThinkingBlock,
    Turn,
)
from foundrylocal.gateway.dialects.refusals import refuse


def check_turns(body: CountBody) -> None:
    """Check tools and conversation. Raises InvalidRequest that names the field."""
    choice = body.tool_choice
    if choice is not None and choice.type == "tool":
        names = {tool.name for tool in body.tools or ()}
        if choice.name not in names:
            refuse("tool_choice.name", "names a tool that is not in 'tools'")
    if choice is not None and choice.type == "any" and not body.tools:
        refuse("tool_choice", "is 'any', and there are no 'tools'")
    for number, turn in enumerate(body.messages):
        _drop_redacted(turn, f"messages[{number}].content")
        read_documents(turn, f"messages[{number}].content")
    _join_prefill(body.messages)


def _join_prefill(turns: list[Turn]) -> None:
    """Write the text of a last turn that the model is to continue as one block; an empty one begins nothing."""
    last = turns[-1]
    if last.role != "assistant":
        return
    if isinstance(last.content, list) and all(isinstance(b, TextBlock | ThinkingBlock) for b in last.content):
        text = "".join(block.text for block in last.content if isinstance(block, TextBlock))
        thoughts: list[Block] = [block for block in last.content if isinstance(block, ThinkingBlock)]
        last.content = [*thoughts, TextBlock(text)] if thoughts else text
    if not last.content and len(turns) > 1:
        turns.pop()


def _drop_redacted(turn: Turn, place: str) -> None:
    """Drop redacted thoughts; an assistant's turn may be empty without them, nobody else's may."""
    if isinstance(turn.content, list):
        kept: list[Block] = [block for block in turn.content if not isinstance(block, RedactedThinkingBlock)]
        if not kept and turn.role != "assistant":
            refuse(place, "must not be empty")
        turn.content = kept or ""
