"""A whole message of the engine completed to what the published schema requires, nullable fields included."""

from __future__ import annotations

from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.ids import with_prefix

ID_PREFIX = "msg_"
_USAGE = ("cache_creation", "cache_creation_input_tokens", "cache_read_input_tokens", "server_tool_use")
_DELTA_USAGE = ("cache_creation_input_tokens", "cache_read_input_tokens", "input_tokens", "server_tool_use")
_BLOCKS: dict[str, Json] = {
    "text": {"text": "", "citations": None},
    "thinking": {"thinking": "", "signature": ""},
}


def complete_message(answer: Json) -> Json:
    """The message with the fields that are missing."""
    answer["id"] = with_prefix(ID_PREFIX, answer.get("id"))
    complete_stop(answer)
    for block in answer["content"]:
        complete_block(block)
    for name in (*_USAGE, "service_tier"):
        answer["usage"].setdefault(name, None)
    return answer


def complete_stop(ended: Json) -> None:
    """Name the stop sequence as the reason: the engine names the sequence and calls it the end of a turn."""
    if ended.setdefault("stop_sequence", None) is not None:
        ended["stop_reason"] = "stop_sequence"


def complete_block(block: Json) -> Json:
    """A block of content as it begins or as it is whole."""
    for name, value in _BLOCKS.get(str(block.get("type")), {}).items():
        block.setdefault(name, value)
    if block.get("type") == "tool_use":
        block.setdefault("input", {})
    return block


def complete_delta_usage(usage: Json) -> Json:
    """The count at the end of a stream."""
    for name in _DELTA_USAGE:
        usage.setdefault(name, None)
    return usage
