"""A chat answer of the engine as a message, with every field that the published schema requires.

One field is left out although the schema lists it: `citations` of a text without any, as Anthropic's own answers do;
clients send blocks back as they got them, and some servers refuse a null there.
"""

from __future__ import annotations

import msgspec

from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.by_chat import CallPiece, ChatAnswer, Usage, reasoning_tokens
from foundrylocal.gateway.dialects.ids import with_prefix

_STOP_REASONS = {"length": "max_tokens", "tool_calls": "tool_use"}


def message_of(answer: ChatAnswer, model: str) -> Json:
    """The whole message. Raises LookupError when the answer has none."""
    choice = answer.choices[0]
    said = choice.message
    content: list[Json] = []
    if said.reasoning_content:
        content.append(thinking_block(said.reasoning_content))
    if said.content:
        content.append(text_block(said.content))
    content += [
        {**tool_block(call.id, call.function.name), "input": input_of(call)} for call in said.tool_calls
    ]
    usage = answer.usage or Usage()
    reasoning = len(said.reasoning_content or "")
    others = len(said.content or "") + sum(len(call.function.arguments) for call in said.tool_calls)
    message = message_frame(answer, model, usage)
    message["content"] = content
    message["usage"] = {**message["usage"], **delta_usage(usage, reasoning_tokens(usage, reasoning, others))}
    return message | stop_of(choice.finish_reason, answer)


def message_frame(answer: ChatAnswer, model: str, usage: Usage) -> Json:
    """A message before its first block."""
    return {
        "id": with_prefix("msg_", answer.id),
        "type": "message",
        "role": "assistant",
        "content": [],
        "model": model,
        **stop_of(None, ChatAnswer()),
        "diagnostics": None,
        "usage": {
            **delta_usage(Usage(usage.prompt_tokens, 0, usage.prompt_tokens_details), 0),
            "cache_creation": None,
            "inference_geo": None,
            "service_tier": "standard",
            "speed": None,
        },
    }


def stop_of(finish_reason: str | None, answer: ChatAnswer) -> Json:
    """Why it ended; all null while it has not."""
    reason = _STOP_REASONS.get(finish_reason, "end_turn") if finish_reason else None
    sequence = answer.stop_sequence if finish_reason == "stop" else None
    if sequence is not None:
        reason = "stop_sequence"
    return {"stop_reason": reason, "stop_sequence": sequence, "stop_details": None, "container": None}


def delta_usage(usage: Usage, thinking_tokens: int) -> Json:
    """The counts as they are at the end of a message."""
    return {
        "input_tokens": max(usage.prompt_tokens - usage.cached_tokens, 0),
        "output_tokens": usage.completion_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens_details": {"thinking_tokens": thinking_tokens},
        "server_tool_use": None,
    }


# --- blocks ---------------------------------------------------------------------------------------------


def thinking_block(text: str) -> Json:
    return {"type": "thinking", "thinking": text, "signature": ""}


def text_block(text: str) -> Json:
    return {"type": "text", "text": text}


def tool_block(call_id: str, name: str) -> Json:
    """A call without its input, as a stream begins it."""
    return {
        "type": "tool_use",
        "id": "toolu_" + call_id.removeprefix("call_"),
        "name": name,
        "input": {},
        "caller": {"type": "direct"},
    }


def input_of(call: CallPiece) -> Json:
    """The arguments as an object; a call that was cut short has none that could be read."""
    try:
        return msgspec.json.decode(call.function.arguments or "{}", type=Json)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return {}
